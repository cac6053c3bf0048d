// sampan token: lets nodes join. `create` prints the command to run on the machine that is to be one.
import { ApiError } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Node, Secret } from '../../api/types/core-v1.ts';
import { renderKubeconfig } from '../../client/index.ts';
import type { Client, ClientConfig, ResourceRef } from '../../client/port.ts';
import { refs } from '../../client/refs.ts';
import { caHash, CIDR_ANNOTATION, joinCommand, joinObjects, newToken, nextCidr, tokenSecret } from '../join/token.ts';
import { hostAddress } from '../layout.ts';
import { openSession, type SessionOptions } from '../session.ts';
import { UserError } from '../user-error.ts';

export async function tokenCreateCommand(options: SessionOptions & { ttl: number; server?: string }): Promise<void> {
  const { client, config } = openSession(options);
  try {
    const { server, caPem } = meetingPoint(options, config);
    const told = renderKubeconfig({ server, caPem, userAgent: '' }, { cluster: '', user: '' });
    for (const object of joinObjects(told)) await ensure(client, object);
    const secrets = client.resource<Secret>(refs.secrets, 'kube-system');
    const [{ items: nodes }, { items: known }] = await Promise.all([
      client.resource<Node>(refs.nodes).listAll(),
      secrets.listAll(),
    ]);
    const promised = known.map((each) => each.metadata.annotations?.[CIDR_ANNOTATION]);
    const taken = [...nodes.map((each) => each.spec?.podCIDR), ...promised].filter((each) => each !== undefined);
    const podCidr = nextCidr(taken);
    const token = newToken();
    const expiresAt = options.ttl > 0 ? new Date(Date.now() + options.ttl * 1000) : undefined;
    await secrets.create(tokenSecret(token, expiresAt, podCidr));
    process.stdout.write(`${joinCommand(server, token, caHash(caPem), podCidr)}\n`);
  } finally {
    client.close();
  }
}

export async function tokenListCommand(options: SessionOptions): Promise<void> {
  const { client } = openSession(options);
  try {
    const { items } = await client.resource<Secret>(refs.secrets, 'kube-system').listAll();
    const read = (secret: Secret, key: string) => Buffer.from(secret.data?.[key] ?? '', 'base64').toString();
    process.stdout.write('TOKEN    EXPIRES                   POD-CIDR\n');
    for (const each of items.filter((secret) => secret.type === 'bootstrap.kubernetes.io/token')) {
      const expires = read(each, 'expiration') || '<never>';
      const cidr = each.metadata.annotations?.[CIDR_ANNOTATION] ?? '';
      // The secret half stays where it is.
      process.stdout.write(`${read(each, 'token-id')}   ${expires.padEnd(24)}  ${cidr}\n`);
    }
  } finally {
    client.close();
  }
}

export async function tokenDeleteCommand(id: string, options: SessionOptions): Promise<void> {
  const { client } = openSession(options);
  const [name] = id.split('.');
  try {
    await client.resource<Secret>(refs.secrets, 'kube-system').delete(`bootstrap-token-${name}`);
    process.stdout.write(`token ${name} deleted\n`);
  } finally {
    client.close();
  }
}

/** Where nodes of other machines reach this cluster: an address of this machine's in place of a loopback one. */
function meetingPoint(options: SessionOptions & { server?: string }, config: ClientConfig) {
  const { server, caPem } = config;
  if (!caPem) throw new UserError('the kubeconfig names no certificate-authority: nodes could not know the cluster');
  if (options.server) return { server: options.server, caPem };
  const url = new URL(server);
  if (['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname)) url.hostname = hostAddress('127.0.0.1');
  return { server: url.href.replace(/\/$/, ''), caPem };
}

async function ensure(client: Client, object: KubeObject): Promise<void> {
  const resource = client.resource<KubeObject>(refOf(object), object.metadata.namespace);
  try {
    await resource.create(object);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 409) throw error;
    // The cluster may have another address by now; the signatures beside it are the controller's.
    const { data } = object as { data?: Record<string, string> };
    if (data) await resource.patch(object.metadata.name ?? '', 'merge', { data });
  }
}

function refOf({ kind = '', apiVersion = '', metadata }: KubeObject): ResourceRef {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const resource = `${kind.toLowerCase()}s`;
  return { group: group ?? '', version: version ?? '', resource, kind, namespaced: metadata.namespace !== undefined };
}
