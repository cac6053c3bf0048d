// Reads the KubeletConfiguration that --kubelet-config names.
import { readFileSync } from 'node:fs';
import { parseYaml } from '../api/yaml.ts';
import type { KubeletSettings } from '../kubelet/config.ts';
import { UserError } from './user-error.ts';

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
