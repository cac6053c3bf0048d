// Secrets encrypted at rest: the configuration that --encryption-provider-config names, or one that is made beside the
// certificates at the first start. It is read again when it changes.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { Kind } from '../../api/kind.ts';
import {
  type ConnectKms,
  type EncryptionRules,
  parseEncryptionConfiguration,
} from '../../apiserver/storage/encryption/configuration.ts';
import { createEncryptedStore } from '../../apiserver/storage/encryption/encrypted-store.ts';
import { kmsClient } from '../../apiserver/storage/encryption/kms-client.ts';
import { createKmsMetrics, type KmsMetrics } from '../../apiserver/storage/encryption/kms-metrics.ts';
import { KmsProvider } from '../../apiserver/storage/encryption/kms.ts';
import type { Store } from '../../apiserver/storage/port.ts';
import { systemClock } from '../../lib/clock.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import { followFile } from '../../lib/follow-file.ts';
import type { Logger } from '../../lib/log.ts';
import type { MetricsRegistry } from '../../lib/metrics.ts';
import { UserError } from '../user-error.ts';

export interface EncryptionOptions {
  /** `--encryption-provider-config`. */
  file: string | undefined;
  /** Made when it is absent and `file` is not given. */
  defaultFile: string;
  kinds: readonly Kind[];
  log: Logger;
  /** Of key management services. */
  metrics?: MetricsRegistry;
}

export interface StoreAtRest extends Store {
  /** Key management services have been asked once, whatever they said. */
  ready: Promise<void>;
  /** What is wrong with them, by name; undefined where the configuration in force names none. */
  kmsProblems(): readonly string[] | undefined;
}

/** `store` with its Secrets encrypted. Closing it ends the watch on the file too. */
export function encryptStore(store: Store, options: EncryptionOptions): StoreAtRest {
  const file = options.file ?? options.defaultFile;
  if (!options.file && !existsSync(file)) writeFileAtomic(file, freshConfiguration(), 0o600);
  const { log } = options;
  let metrics: KmsMetrics | undefined;
  const connect: ConnectKms = ({ name, socket, timeoutMs }) =>
    new KmsProvider({
      name,
      service: kmsClient(socket, timeoutMs),
      clock: systemClock,
      log,
      metrics: (metrics ??= options.metrics && createKmsMetrics(options.metrics)),
    });
  const read = () => readRules(file, options.kinds, connect);
  let rules = read();
  const encrypted = createEncryptedStore(store, rules);
  const ready = startAll(rules);
  let changing = Promise.resolve();
  const watcher = followFile(file, () => {
    changing = changing.then(async () => {
      let next: EncryptionRules | undefined;
      try {
        next = read();
        await startAll(next);
        const problem = problemsOf(next)?.[0];
        // What cannot write must not take the place of what can.
        if (problem !== undefined) throw new Error(problem);
        encrypted.setRules(next);
        [rules, next] = [next, rules];
        log.info({ file }, 'encryption configuration read again');
      } catch (error) {
        log.error({ err: error, file }, 'encryption configuration is wrong: the one before stays in force');
      }
      if (next) await stopAll(next);
    });
  });
  return {
    ...encrypted,
    ready,
    kmsProblems: () => problemsOf(rules),
    async close() {
      watcher.close();
      await changing;
      await ready;
      await stopAll(rules);
      await encrypted.close();
    },
  };
}

async function startAll({ kms = [] }: EncryptionRules): Promise<void> {
  await Promise.all(kms.map((each) => each.start()));
}

async function stopAll({ kms = [] }: EncryptionRules): Promise<void> {
  await Promise.all(kms.map((each) => each.stop()));
}

const problemsOf = ({ kms }: EncryptionRules) =>
  kms?.flatMap(({ name, problem }) => (problem === undefined ? [] : [`${name}: ${problem}`]));

function readRules(file: string, kinds: readonly Kind[], connect: ConnectKms) {
  try {
    return parseEncryptionConfiguration(readFileSync(file, 'utf8'), kinds, connect);
  } catch (error) {
    throw new UserError(`encryption configuration ${file}: ${(error as Error).message}`);
  }
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
