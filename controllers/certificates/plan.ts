// What becomes of a certificate signing request: who approves it by himself, which requests a signer takes, and when one is
// old enough to go. Rules and messages are upstream's (pkg/controller/certificates, pkg/apis/certificates). Pure.
import { X509Certificate } from 'node:crypto';
import type { SigningRequest } from '../../api/pkcs10.ts';
import type { Node } from '../../api/types/core-v1.ts';
import type { CertificateSigningRequest } from '../../api/types/certificates-v1.ts';

export const SIGNERS = {
  apiserverClient: 'kubernetes.io/kube-apiserver-client',
  kubeletClient: 'kubernetes.io/kube-apiserver-client-kubelet',
  kubeletServing: 'kubernetes.io/kubelet-serving',
  legacy: 'kubernetes.io/legacy-unknown',
} as const;

export const hasCondition = (object: CertificateSigningRequest, type: string): boolean =>
  object.status?.conditions?.some((each) => each.type === type && each.status === 'True') ?? false;

export interface Recognized {
  /** The subresource whose `create` the requestor needs. */
  permission: 'selfnodeclient' | 'nodeclient' | 'selfnodeserver';
  message: string;
}

/** Under which rights a request would approve itself, in the order in which they are asked about. */
export function recognize(object: CertificateSigningRequest, request: SigningRequest): Recognized[] {
  const { signerName, username, usages = [] } = object.spec;
  // Upstream has left the approval of these to others; here who may is asked, and nobody may unless an administrator says so.
  if (signerName === SIGNERS.kubeletServing && username === request.commonName) {
    if (kubeletServingProblem(request, usages)) return [];
    const message = 'Auto approving self kubelet server certificate after SubjectAccessReview.';
    return [{ permission: 'selfnodeserver', message }];
  }
  if (signerName !== SIGNERS.kubeletClient || kubeletClientProblem(request, usages)) return [];
  const found: Recognized[] = [];
  if (username === request.commonName) {
    found.push({
      permission: 'selfnodeclient',
      message: 'Auto approving self kubelet client certificate after SubjectAccessReview.',
    });
  }
  found.push({
    permission: 'nodeclient',
    message: 'Auto approving kubelet client certificate after SubjectAccessReview.',
  });
  return found;
}

/** Why a node must not have a certificate for these names and addresses: they are not its own, or another node has them too. */
export function servingProblem(request: SigningRequest, nodes: readonly Node[]): string | undefined {
  const name = request.commonName.replace(/^system:node:/, '');
  const addressesOf = (node: Node) => new Set((node.status?.addresses ?? []).map((each) => each.address));
  const own = nodes.find((each) => each.metadata.name === name);
  if (!own) return `node ${name} has not registered`;
  const others = nodes.filter((each) => each !== own).map((each) => addressesOf(each));
  for (const asked of [...request.dnsNames, ...request.ipAddresses]) {
    if (!addressesOf(own).has(asked)) return `${asked} is not an address of node ${name}`;
    // Hosts of one name are told apart by their addresses.
    if (request.ipAddresses.includes(asked) && others.some((each) => each.has(asked))) {
      return `${asked} is an address of another node too`;
    }
  }
  return undefined;
}

export type SigningPlan = { kind: 'ignore' } | { kind: 'fail'; message: string } | { kind: 'sign'; seconds: number };

const YEAR_SECONDS = 365 * 24 * 3600;
const MIN_SECONDS = 600;

/** Whether our signers take a request that has been approved. */
export function planSigning(object: CertificateSigningRequest, request: SigningRequest): SigningPlan {
  const { signerName, usages = [], expirationSeconds } = object.spec;
  if (!hasCondition(object, 'Approved') || hasCondition(object, 'Denied') || hasCondition(object, 'Failed'))
    return { kind: 'ignore' };
  if (object.status?.certificate) return { kind: 'ignore' };
  const check = CHECKS[signerName];
  if (!check) return { kind: 'ignore' };
  const message = check(request, usages);
  if (message) return { kind: 'fail', message };
  const wanted = expirationSeconds ?? YEAR_SECONDS;
  return { kind: 'sign', seconds: Math.min(YEAR_SECONDS, Math.max(MIN_SECONDS, wanted)) };
}

const CHECKS: Readonly<Record<string, (request: SigningRequest, usages: readonly string[]) => string | undefined>> = {
  [SIGNERS.apiserverClient]: (_request, usages) => apiserverClientProblem(usages),
  [SIGNERS.kubeletClient]: kubeletClientProblem,
  [SIGNERS.kubeletServing]: kubeletServingProblem,
  [SIGNERS.legacy]: () => undefined,
};

function apiserverClientProblem(usages: readonly string[]): string | undefined {
  for (const usage of usages) {
    if (!['digital signature', 'key encipherment', 'client auth'].includes(usage)) {
      return `invalid usage for client certificate: ${usage}`;
    }
  }
  return usages.includes('client auth') ? undefined : 'missing required usage for client certificate: client auth';
}

function kubeletClientProblem(request: SigningRequest, usages: readonly string[]): string | undefined {
  if (!isOfNodes(request)) return 'subject organization is not system:nodes';
  if (request.dnsNames.length > 0) return 'DNS subjectAltNames are not allowed';
  if (request.emailAddresses.length > 0) return 'Email subjectAltNames are not allowed';
  if (request.ipAddresses.length > 0) return 'IP subjectAltNames are not allowed';
  if (request.uris.length > 0) return 'URI subjectAltNames are not allowed';
  if (!request.commonName.startsWith('system:node:')) return 'subject common name does not begin with system:node:';
  return usagesProblem(usages, 'client auth');
}

function kubeletServingProblem(request: SigningRequest, usages: readonly string[]): string | undefined {
  if (!isOfNodes(request)) return 'subject organization is not system:nodes';
  if (request.dnsNames.length === 0 && request.ipAddresses.length === 0) {
    return 'DNS or IP subjectAltName is required';
  }
  if (request.emailAddresses.length > 0) return 'Email subjectAltNames are not allowed';
  if (request.uris.length > 0) return 'URI subjectAltNames are not allowed';
  const problem = usagesProblem(usages, 'server auth');
  if (problem) return problem;
  return request.commonName.startsWith('system:node:')
    ? undefined
    : 'subject common name does not begin with system:node:';
}

const isOfNodes = ({ organizations }: SigningRequest) =>
  organizations.length === 1 && organizations[0] === 'system:nodes';

/** Keys other than RSA cannot encipher: that usage may be missing. */
function usagesProblem(usages: readonly string[], purpose: string): string | undefined {
  const rest = usages.filter((each) => each !== 'key encipherment').sort();
  const wanted = [purpose, 'digital signature'].sort();
  if (rest.length === wanted.length && rest.every((each, i) => each === wanted[i])) return undefined;
  return `usages did not match [${[...wanted, 'key encipherment'].sort().join(' ')}]`;
}

const HOUR_MS = 3600 * 1000;

/** When a request may be deleted, in milliseconds since the epoch; Infinity for one that is only waited for. */
export function expiresAt(object: CertificateSigningRequest): number {
  const conditions = object.status?.conditions ?? [];
  const ages = conditions.flatMap(({ type, lastUpdateTime }) => {
    const isEnd = type === 'Denied' || type === 'Failed' || (type === 'Approved' && object.status?.certificate);
    return isEnd && lastUpdateTime ? [Date.parse(lastUpdateTime) + HOUR_MS] : [];
  });
  if (conditions.length === 0) ages.push(Date.parse(object.metadata.creationTimestamp ?? '') + 24 * HOUR_MS);
  const end = certificateEnd(object);
  if (end !== undefined && hasCondition(object, 'Approved')) ages.push(end);
  const known = ages.filter((each) => Number.isFinite(each));
  return known.length > 0 ? Math.min(...known) : Number.POSITIVE_INFINITY;
}

function certificateEnd({ status }: CertificateSigningRequest): number | undefined {
  if (!status?.certificate) return undefined;
  try {
    return Date.parse(new X509Certificate(Buffer.from(status.certificate, 'base64')).validTo);
  } catch {
    return undefined;
  }
}
