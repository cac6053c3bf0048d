// What a RUN step needs from whoever executes it, and the resolution of --chown.
import type { RootfsView } from '../../snapshots/view.ts';
import type { StoredLayer } from '../compose.ts';
import { ImageError } from '../errors.ts';
import type { RunConfig } from '../oci.ts';
import type { Ownership } from './copy.ts';

/** Runs one command on top of a stack of layers and stores what it changed; throws when it fails. */
export type RunStep = (step: {
  chain: readonly string[];
  config: RunConfig;
  args: string[];
  /** A program whose first line is `#!…`, to be run instead of `args`. */
  script: string | undefined;
  network: 'host' | 'none';
  /** `NAME=value`, visible to the command only. */
  buildArgs: string[];
  onOutput: (text: string) => void;
  store: (tar: AsyncIterable<Uint8Array>) => Promise<StoredLayer>;
}) => Promise<StoredLayer>;

/** `user[:group]` by number or by the image's own names; default root. A user without group has the same gid. */
export function resolveOwner(chown: string | undefined, view: RootfsView): Ownership {
  if (!chown) return { uid: 0, gid: 0 };
  const [user = '', group] = chown.split(':');
  const passwd = rows(view.readText('/etc/passwd')).find((row) => row[0] === user);
  const uid = /^\d+$/.test(user) ? Number(user) : Number(passwd?.[2] ?? Number.NaN);
  if (Number.isNaN(uid)) throw new ImageError('invalid', `--chown: no user "${user}" in the image`);
  if (group === undefined) return { uid, gid: passwd ? Number(passwd[3]) : uid };
  const named = rows(view.readText('/etc/group')).find((row) => row[0] === group);
  const gid = /^\d+$/.test(group) ? Number(group) : Number(named?.[2] ?? Number.NaN);
  if (Number.isNaN(gid)) throw new ImageError('invalid', `--chown: no group "${group}" in the image`);
  return { uid, gid };
}

function rows(text: string | undefined): string[][] {
  return (text ?? '').split('\n').map((line) => line.split(':'));
}
