// sampan image pull and push: with the credentials that `docker login` has left, or given ones.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { credentialsFor } from '../../kubelet/images/credentials.ts';
import type { Login } from '../../proto/runtime-images.ts';
import { callImages } from '../image-client.ts';
import { layoutOf } from '../layout.ts';
import { UserError } from '../user-error.ts';
import { type ImageFlags, showing } from './image.ts';

export interface LoginFlags extends ImageFlags {
  /** `user:password`; the password may be read from standard input as `-`. */
  creds?: string;
}

export const pullCommand = (image: string, flags: LoginFlags): Promise<void> =>
  showing(`pull ${image}`, (onLine) =>
    callImages(layoutOf(flags.dataDir).criSocket, 'Pull', { image, login: loginFor(image, flags) }, onLine),
  );

export const pushCommand = (image: string, as: string | undefined, flags: LoginFlags): Promise<void> =>
  showing(`push ${as ?? image}`, (onLine) =>
    callImages(
      layoutOf(flags.dataDir).criSocket,
      'Push',
      { image, ...(as && { as }), login: loginFor(as ?? image, flags) },
      onLine,
    ),
  );

/** From the flag, else from Docker's configuration file, the entry that fits best. */
function loginFor(image: string, { creds }: LoginFlags): Login | undefined {
  if (creds !== undefined) {
    const colon = creds.indexOf(':');
    if (colon < 1) throw new UserError('--creds is USER:PASSWORD, or USER:- to read the password from standard input');
    const password = creds.slice(colon + 1);
    return {
      username: creds.slice(0, colon),
      password: password === '-' ? readFileSync(0, 'utf8').replace(/\r?\n$/, '') : password,
    };
  }
  let config: Buffer;
  try {
    config = readFileSync(join(process.env['DOCKER_CONFIG'] ?? join(homedir(), '.docker'), 'config.json'));
  } catch {
    return undefined;
  }
  const secret = { metadata: {}, data: { '.dockerconfigjson': config.toString('base64') } };
  const [auth] = credentialsFor(image, [secret]);
  return auth;
}
