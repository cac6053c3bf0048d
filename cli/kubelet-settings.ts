// Reads the KubeletConfiguration that --kubelet-config names.
import { readFileSync } from 'node:fs';
import { parseYaml } from '../api/yaml.ts';
import type { KubeletSettings } from '../kubelet/config.ts';
import { UserError } from './user-error.ts';

/** Both flags or none. Throws UserError that names the file and the field. */
export async function readProviders(config: string | undefined, binDir: string | undefined) {
  if (!config && !binDir) return undefined;
  if (!config || !binDir)
    throw new UserError('--image-credential-provider-config and --image-credential-provider-bin-dir need each other');
  const { readCredentialProviders } = await import('../kubelet/images/credential-providers.ts');
  try {
    return { providers: readCredentialProviders(parseYaml(readFileSync(config, 'utf8')).value), binDir };
  } catch (error) {
    throw new UserError(`${config}: ${(error as Error).message}`);
  }
}

/** No file: nothing is set. Throws UserError that names the file and the field. */
export async function readSettings(path: string | undefined): Promise<KubeletSettings> {
  if (!path) return {};
  const { readKubeletConfiguration } = await import('../kubelet/config.ts');
  try {
    return readKubeletConfiguration(parseYaml(readFileSync(path, 'utf8')).value);
  } catch (error) {
    throw new UserError(`${path}: ${(error as Error).message}`);
  }
}
