// Secrets encrypted at rest: the configuration that --encryption-provider-config names, or one that is made beside the
// certificates at the first start. It is read again when it changes.
import { randomBytes } from 'node:crypto';
import { existsSync, type FSWatcher, readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Kind } from '../../api/kind.ts';
import { parseEncryptionConfiguration } from '../../apiserver/storage/encryption/configuration.ts';
import { createEncryptedStore } from '../../apiserver/storage/encryption/encrypted-store.ts';
import type { Store } from '../../apiserver/storage/port.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import type { Logger } from '../../lib/log.ts';
import { UserError } from '../user-error.ts';

export interface EncryptionOptions {
  /** `--encryption-provider-config`. */
  file: string | undefined;
  /** Made when it is absent and `file` is not given. */
  defaultFile: string;
  kinds: readonly Kind[];
  log: Logger;
}

/** `store` with its Secrets encrypted. Closing it ends the watch on the file too. */
export function encryptStore(store: Store, options: EncryptionOptions): Store {
  const file = options.file ?? options.defaultFile;
  if (!options.file && !existsSync(file)) writeFileAtomic(file, freshConfiguration(), 0o600);
  const encrypted = createEncryptedStore(store, readRules(file, options.kinds));
  const watcher = followFile(file, () => {
    try {
      encrypted.setRules(readRules(file, options.kinds));
      options.log.info({ file }, 'encryption configuration read again');
    } catch (error) {
      options.log.error({ err: error, file }, 'encryption configuration is wrong: the one before stays in force');
    }
  });
  return {
    ...encrypted,
    close() {
      watcher.close();
      return encrypted.close();
    },
  };
}

function readRules(file: string, kinds: readonly Kind[]) {
  try {
    return parseEncryptionConfiguration(readFileSync(file, 'utf8'), kinds);
  } catch (error) {
    throw new UserError(`encryption configuration ${file}: ${(error as Error).message}`);
  }
}

/** Of the directory, because a file that is replaced by a rename takes a watch on itself with it. */
function followFile(file: string, changed: () => void): FSWatcher {
  let pending = false;
  return watch(dirname(file), { persistent: false }, (_event, name) => {
    if (pending || (name !== null && name !== basename(file))) return;
    pending = true;
    // A replacement is several events.
    setImmediate(() => {
      pending = false;
      if (existsSync(file)) changed();
    });
  });
}

/** `identity` last: objects from before, and of a store that was not encrypted, stay readable. */
function freshConfiguration(): string {
  const key = { name: 'key1', secret: randomBytes(32).toString('base64') };
  const configuration = {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [{ resources: ['secrets'], providers: [{ secretbox: { keys: [key] } }, { identity: {} }] }],
  };
  return `# Secrets are encrypted at rest with this key: whoever loses it loses them. To rotate, add a key before it, start the
# server or save the file, write every Secret anew, then remove the old one.
${JSON.stringify(configuration, null, 2)}
`;
}
