// What runs: arguments, environment and working directory out of the container's and the image's configuration.
import type { ContainerConfig } from '../../../proto/cri-types.ts';
import type { RunConfig } from '../../images/oci.ts';
import { invalidField } from '../errors.ts';

export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Command replaces the entrypoint and drops the image's arguments; args replace the image's arguments only. */
export function processArgs(config: ContainerConfig, image: RunConfig): string[] {
  const command = config.command ?? [];
  let args = config.args ?? [];
  if (command.length > 0) return [...command, ...args];
  if (args.length === 0) args = image.Cmd ?? [];
  const entrypoint = image.Entrypoint ?? [];
  const all = [...(entrypoint.length === 1 && entrypoint[0] === '' ? [] : entrypoint), ...args];
  if (all.length === 0) throw invalidField('config.command', 'no command specified, and the image has none');
  return all;
}

/** Image variables overlaid by the container's; PATH, HOSTNAME, TERM and HOME are added where nobody sets them. */
export function processEnv(
  config: ContainerConfig,
  image: RunConfig,
  facts: { hostname: string; home: string },
): string[] {
  const values = new Map<string, string>([['PATH', defaultPath]]);
  values.set('HOSTNAME', facts.hostname);
  if (config.tty) values.set('TERM', 'xterm');
  for (const entry of image.Env ?? []) {
    const equals = entry.indexOf('=');
    if (equals > 0) values.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  for (const { key, value } of config.envs ?? []) {
    if (!key || key.includes('=') || key.includes('\0'))
      throw invalidField('config.envs', `"${key}" is not a variable name`);
    if (value?.includes('\0')) throw invalidField('config.envs', `the value of ${key} holds a zero byte`);
    values.set(key, value ?? '');
  }
  if (!values.has('HOME')) values.set('HOME', facts.home);
  return [...values].map(([key, value]) => `${key}=${value}`);
}

export function workingDirectory(config: ContainerConfig, image: RunConfig): string {
  const directory = config.workingDir || image.WorkingDir || '/';
  if (!directory.startsWith('/')) {
    // Images may say `app`; the container's own setting may not.
    if (config.workingDir) throw invalidField('config.working_dir', `"${directory}" is not absolute`);
    return `/${directory}`;
  }
  return directory;
}
