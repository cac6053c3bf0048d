// What lets a node join: a bootstrap token, the hash by which the node knows the cluster's CA, and the rights that go with both. Names are
// kubeadm's where it has the same thing, so that its tools see what they know. Pure but for the random.
import { createHash, createHmac, randomInt, timingSafeEqual, X509Certificate } from 'node:crypto';
import type { KubeObject } from '../../api/object.ts';
import type { Secret } from '../../api/types/core-v1.ts';
import { UserError } from '../user-error.ts';

export const JOIN_GROUP = 'system:bootstrappers:kubeadm:default-node-token';
export const CIDR_ANNOTATION = 'sampan.dev/pod-cidr';

export interface Token {
  id: string;
  secret: string;
}

export function parseToken(text: string): Token {
  const [, id, secret] = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(text) ?? [];
  if (!id || !secret)
    throw new UserError('a token is six and sixteen letters and digits, with a point between: abcdef.0123456789abcdef');
  return { id, secret };
}

export function newToken(): Token {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
  const word = (length: number) => Array.from({ length }, () => letters[randomInt(letters.length)]).join('');
  return { id: word(6), secret: word(16) };
}

/** `sha256:<hex>` of the public key of a CA, as kubeadm prints it. */
export function caHash(caPem: string): string {
  const spki = new X509Certificate(caPem).publicKey.export({ type: 'spki', format: 'der' });
  return `sha256:${createHash('sha256').update(spki).digest('hex')}`;
}

/** Whether the holder of the token has signed `content` (a JWS whose payload is left out). */
export function isSigned(content: string, signature: string, token: Token): boolean {
  const [header = '', payload, mac = ''] = signature.split('.');
  if (payload !== '') return false;
  const signed = `${header}.${Buffer.from(content).toString('base64url')}`;
  const expected = createHmac('sha256', `${token.id}.${token.secret}`).update(signed).digest();
  const given = Buffer.from(mac, 'base64url');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

export function tokenSecret(token: Token, expiresAt: Date | undefined, podCidr: string): Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'bootstrap.kubernetes.io/token',
    metadata: {
      name: `bootstrap-token-${token.id}`,
      namespace: 'kube-system',
      annotations: { [CIDR_ANNOTATION]: podCidr },
    },
    stringData: {
      'token-id': token.id,
      'token-secret': token.secret,
      'usage-bootstrap-authentication': 'true',
      'usage-bootstrap-signing': 'true',
      'auth-extra-groups': JOIN_GROUP,
      ...(expiresAt && { expiration: expiresAt.toISOString().replace(/\.\d+Z$/, 'Z') }),
    },
  };
}

/** The first range of the size of the others that none of them has: 10.244.0.0/24 taken, 10.244.1.0/24 is next. */
export function nextCidr(taken: readonly string[], base = '10.244.0.0/24'): string {
  const parse = (cidr: string) => {
    const [address = '', bits = ''] = cidr.split('/');
    const number = address.split('.').reduce((total, part) => total * 256 + Number(part), 0);
    return { start: number, size: 2 ** (32 - Number(bits)), bits };
  };
  const ranges = taken.map(parse);
  const { start, size, bits } = parse(taken[0] ?? base);
  for (let at = start; at + size <= 2 ** 32; at += size) {
    if (ranges.some((each) => each.start < at + size && at < each.start + each.size)) continue;
    return `${[24, 16, 8, 0].map((shift) => Math.floor(at / 2 ** shift) % 256).join('.')}/${bits}`;
  }
  throw new UserError('there is no range of pod addresses left');
}

export const joinCommand = (server: string, token: Token, hash: string, podCidr: string): string =>
  `sampan join ${server} --token ${token.id}.${token.secret} --discovery-token-ca-cert-hash ${hash} --pod-cidr ${podCidr}`;

const role = (name: string, rules: object[]) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name },
  rules,
});
const binding = (name: string, roleName: string, subject: object) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: roleName },
  subjects: [subject],
});
const group = (name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name });
const CSR = 'system:certificates.k8s.io:certificatesigningrequests';
const NODES = group('system:nodes');

/**
 * What has to be there before anybody joins. Beyond kubeadm's: nodes' serving certificates are approved by themselves (so that logs and
 * exec work without a third command), and nodes may read what their service proxy needs.
 */
export function joinObjects(clusterInfo: string): KubeObject[] {
  const certificates = { apiGroups: ['certificates.k8s.io'] };
  return [
    binding('kubeadm:kubelet-bootstrap', 'system:node-bootstrapper', group(JOIN_GROUP)),
    binding('kubeadm:node-autoapprove-bootstrap', `${CSR}:nodeclient`, group(JOIN_GROUP)),
    binding('kubeadm:node-autoapprove-certificate-rotation', `${CSR}:selfnodeclient`, NODES),
    role('sampan:selfnodeserver', [
      { ...certificates, resources: ['certificatesigningrequests/selfnodeserver'], verbs: ['create'] },
    ]),
    binding('sampan:node-autoapprove-serving', 'sampan:selfnodeserver', NODES),
    role('sampan:kubelet-serving-approver', [
      { ...certificates, resources: ['signers'], resourceNames: ['kubernetes.io/kubelet-serving'], verbs: ['approve'] },
      // Only what a node says of itself, and no other does, is approved.
      { apiGroups: [''], resources: ['nodes'], verbs: ['list'] },
    ]),
    binding('sampan:kubelet-serving-approver', 'sampan:kubelet-serving-approver', {
      kind: 'ServiceAccount',
      name: 'certificate-controller',
      namespace: 'kube-system',
    }),
    binding('sampan:node-proxier', 'system:node-proxier', NODES),
    // Cluster DNS answers on every node.
    role('sampan:node-dns', [{ apiGroups: [''], resources: ['namespaces'], verbs: ['list', 'watch'] }]),
    binding('sampan:node-dns', 'sampan:node-dns', NODES),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'cluster-info', namespace: 'kube-public' },
      data: { kubeconfig: clusterInfo },
    } as KubeObject,
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'kubeadm:bootstrap-signer-clusterinfo', namespace: 'kube-public' },
      rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: ['cluster-info'], verbs: ['get'] }],
    } as KubeObject,
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'kubeadm:bootstrap-signer-clusterinfo', namespace: 'kube-public' },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'Role',
        name: 'kubeadm:bootstrap-signer-clusterinfo',
      },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'system:anonymous' }],
    } as KubeObject,
  ];
}
