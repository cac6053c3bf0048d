// Certificate signing requests: kubelets' own are approved after an access review, approved ones are signed where the key
// of the cluster CA is, and those that are done with go away.
import { certificateSigningRequest as csrKind } from '../../api/kinds/certificate-signing-request.ts';
import { node as nodeKind } from '../../api/kinds/node.ts';
import { parseSigningRequest, type SigningRequest } from '../../api/pkcs10.ts';
import type { SubjectAccessReview } from '../../api/types/authorization-v1.ts';
import type { Node } from '../../api/types/core-v1.ts';
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '../../api/types/certificates-v1.ts';
import { createWorkQueue, isNotFound, runController, TerminalError } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { expiresAt, hasCondition, planSigning, recognize, servingProblem } from './plan.ts';

type Csr = CertificateSigningRequest;

function watchRequests(context: ControllersContext) {
  const { clock, random, informers } = context;
  const requests = informers.of<Csr>(csrKind);
  const queue = createWorkQueue({ clock, random });
  const wake = (object: Csr) => queue.add(object.metadata.name as string);
  requests.addHandler({ onAdd: wake, onUpdate: wake });
  return { requests, queue };
}

function parse(object: Csr): SigningRequest {
  try {
    return parseSigningRequest(object.spec.request);
  } catch (cause) {
    throw new TerminalError(`unable to parse csr ${JSON.stringify(object.metadata.name)}`, { cause });
  }
}

const withCondition = (object: Csr, condition: CertificateSigningRequestCondition): Csr => ({
  ...object,
  status: { ...object.status, conditions: [...(object.status?.conditions ?? []), condition] },
});

export function runCsrApproving(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const log = context.log.child({ controller: 'csrapproving' });
  const { requests, queue } = watchRequests(context);
  const client = context.client.resource<Csr>(csrKind);

  async function reconcile(name: string): Promise<void> {
    const object = requests.get(name);
    if (!object || object.status?.certificate) return;
    if (hasCondition(object, 'Approved') || hasCondition(object, 'Denied')) return;
    const request = parse(object);
    for (const { permission, message } of recognize(object, request)) {
      if (!(await mayCreate(object, permission))) continue;
      if (permission === 'selfnodeserver') {
        const { items } = await context.client.resource<Node>(nodeKind).listAll();
        const problem = servingProblem(request, items);
        // Looked at again: a node asks before it has said what its addresses are.
        if (problem) throw new Error(`the serving certificate is not approved: ${problem}`);
      }
      const approved = { type: 'Approved', status: 'True', reason: 'AutoApproved', message };
      await client.update(withCondition(object, approved), { subresource: 'approval' });
      return;
    }
  }

  async function mayCreate({ spec }: Csr, subresource: string): Promise<boolean> {
    const review = await context.client.request<SubjectAccessReview>(
      'POST',
      '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      {
        kind: 'SubjectAccessReview',
        apiVersion: 'authorization.k8s.io/v1',
        spec: {
          user: spec.username,
          uid: spec.uid,
          groups: spec.groups,
          extra: spec.extra,
          resourceAttributes: {
            group: 'certificates.k8s.io',
            resource: 'certificatesigningrequests',
            subresource,
            verb: 'create',
          },
        },
      },
    );
    return review.status?.allowed === true;
  }

  return runController({ name: 'csrapproving', queue, reconcile, informers: [requests], log }, signal);
}

export async function runCsrSigning(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const log = context.log.child({ controller: 'csrsigning' });
  const { signing } = context;
  if (!signing) {
    log.info({}, 'the key of the cluster CA is not here: certificates are not signed');
    return;
  }
  const { requests, queue } = watchRequests(context);
  const client = context.client.resource<Csr>(csrKind);

  async function reconcile(name: string): Promise<void> {
    const object = requests.get(name);
    if (!object || !hasCondition(object, 'Approved') || object.status?.certificate) return;
    const plan = planSigning(object, parse(object));
    if (plan.kind === 'ignore') return;
    if (plan.kind === 'fail') {
      const failed = { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message: plan.message };
      await client.update(withCondition(object, failed), { subresource: 'status' });
      return;
    }
    const { request, usages = [] } = object.spec;
    const pem = await signing?.certificate(request, usages, plan.seconds);
    const certificate = Buffer.from(pem ?? '').toString('base64');
    await client.update({ ...object, status: { ...object.status, certificate } }, { subresource: 'status' });
  }

  await runController({ name: 'csrsigning', queue, reconcile, informers: [requests], log }, signal);
}

export function runCsrCleaner(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const log = context.log.child({ controller: 'csrcleaner' });
  const { requests, queue } = watchRequests(context);

  async function reconcile(name: string) {
    const object = requests.get(name);
    if (!object) return undefined;
    const waitMs = expiresAt(object) - context.clock.now();
    if (waitMs === Number.POSITIVE_INFINITY) return undefined;
    if (waitMs > 0) return { requeueAfterMs: waitMs };
    try {
      const { uid } = object.metadata;
      await context.client.resource<Csr>(csrKind).delete(name, { ...(uid && { preconditions: { uid } }) });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return undefined;
  }

  return runController({ name: 'csrcleaner', queue, reconcile, informers: [requests], log }, signal);
}
