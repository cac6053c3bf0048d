// Tokens kept in Secrets of type kubernetes.io/service-account-token: filled for the account that the annotation names, and
// removed with it. Runs where the key that signs tokens is.
import { secret as secretKind } from '../../api/kinds/secret.ts';
import { serviceAccount as serviceAccountKind } from '../../api/kinds/service-account.ts';
import type { Secret, ServiceAccount } from '../../api/types/core-v1.ts';
import { createWorkQueue, isNotFound, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';

const TYPE = 'kubernetes.io/service-account-token';
const NAME = 'kubernetes.io/service-account.name';
const UID = 'kubernetes.io/service-account.uid';

export type TokenPlan =
  | { kind: 'keep' }
  | { kind: 'delete' }
  /** What is missing: the token, the CA, the namespace, the uid of the account. */
  | { kind: 'fill'; missing: readonly ('token' | 'ca.crt' | 'namespace' | 'uid')[] };

/** `account`: of the name in the annotation. Pure. */
export function planToken(secret: Secret, account: ServiceAccount | undefined, rootCaPem: string): TokenPlan {
  const { annotations = {}, namespace = '', deletionTimestamp } = secret.metadata;
  if (secret.type !== TYPE || !annotations[NAME] || deletionTimestamp) return { kind: 'keep' };
  const uid = annotations[UID];
  if (!account || (uid && uid !== account.metadata.uid)) return { kind: 'delete' };
  const data = secret.data ?? {};
  const is = (key: string, value: string) => data[key] === encode(value);
  const missing = [
    ...(data.token ? [] : ['token' as const]),
    ...(is('ca.crt', rootCaPem) ? [] : ['ca.crt' as const]),
    ...(is('namespace', namespace) ? [] : ['namespace' as const]),
    ...(uid ? [] : ['uid' as const]),
  ];
  return missing.length > 0 ? { kind: 'fill', missing } : { kind: 'keep' };
}

const encode = (text: string) => Buffer.from(text).toString('base64');

export async function runServiceAccountTokenController(
  context: ControllersContext,
  signal: AbortSignal,
): Promise<void> {
  const log = context.log.child({ controller: 'serviceaccount-token' });
  const { signing, clock, random, informers, rootCaPem } = context;
  if (!signing) {
    log.info({}, 'the key that signs tokens is not here: Secrets are not filled with tokens');
    return;
  }
  const accounts = informers.of<ServiceAccount>(serviceAccountKind);
  const secrets = informers.of<Secret>(secretKind, { fieldSelector: `type=${TYPE}` });
  const queue = createWorkQueue({ clock, random });
  const wake = ({ metadata }: Secret) => queue.add(`${metadata.namespace}/${metadata.name}`);
  secrets.addHandler({ onAdd: wake, onUpdate: wake });
  const wakeTokens = (account: ServiceAccount) => {
    for (const secret of secrets.list()) {
      const isOurs = secret.metadata.annotations?.[NAME] === account.metadata.name;
      if (isOurs && secret.metadata.namespace === account.metadata.namespace) wake(secret);
    }
  };
  accounts.addHandler({ onAdd: wakeTokens, onDelete: wakeTokens });

  async function reconcile(key: string): Promise<void> {
    const secret = secrets.get(key);
    if (!secret) return;
    const { name = '', namespace = '', uid } = secret.metadata;
    const accountName = secret.metadata.annotations?.[NAME] ?? '';
    const client = context.client.resource<Secret>(secretKind, namespace);
    // Nothing is deleted on the word of a mirror.
    const account = accounts.get(`${namespace}/${accountName}`) ?? (await readAccount(namespace, accountName));
    const plan = planToken(secret, account, rootCaPem);
    if (plan.kind === 'keep') return;
    if (plan.kind === 'delete') {
      await unlessGone(client.delete(name, { ...(uid && { preconditions: { uid } }) }));
      return;
    }
    const accountUid = account?.metadata.uid ?? '';
    const data: Record<string, string> = { ...secret.data, 'ca.crt': encode(rootCaPem), namespace: encode(namespace) };
    if (plan.missing.includes('token')) {
      const token = signing?.secretToken({ namespace, secret: name, account: accountName, accountUid }) ?? '';
      data.token = encode(token);
    }
    const metadata = { ...secret.metadata, annotations: { ...secret.metadata.annotations, [UID]: accountUid } };
    await unlessGone(client.update({ ...secret, metadata, data }));
  }

  async function readAccount(namespace: string, name: string): Promise<ServiceAccount | undefined> {
    try {
      return await context.client.resource<ServiceAccount>(serviceAccountKind, namespace).get(name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  await runController({ name: 'serviceaccount-token', queue, reconcile, informers: [accounts, secrets], log }, signal);
}

async function unlessGone(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
