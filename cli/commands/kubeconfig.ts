// sampan kubeconfig: the administrator's credentials, for `sampan kubeconfig > FILE` or `KUBECONFIG=<(sampan kubeconfig)`.
import { existsSync, readFileSync } from 'node:fs';
import { layoutOf } from '../layout.ts';
import { UserError } from '../user-error.ts';

export function kubeconfig(options: { dataDir: string }): void {
  const { kubeconfig: path } = layoutOf(options.dataDir);
  if (!existsSync(path))
    throw new UserError(`no cluster has been started in ${options.dataDir}: run 'sampan up' first`);
  process.stdout.write(readFileSync(path, 'utf8'));
}
