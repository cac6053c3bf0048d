// pods/binding: the scheduler's decision. Sets spec.nodeName once, with the annotations and labels of the Binding.
import { deepClone } from '../../../api/equality.ts';
import { errors } from '../../../api/errors.ts';
import { fieldErrors } from '../../../api/field-error.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { Binding, Pod } from '../../../api/types/core-v1.ts';
import { admitBody } from '../../admission/subresource.ts';
import type { Exchange } from '../../http/exchange.ts';
import { readObject, type ResourceContext, writeRequest } from '../../http/resources.ts';
import { writeOptions } from '../../http/write-options.ts';
import { timestamp } from '../encode.ts';
import { bindingKind } from './kinds.ts';

const PODS = { group: '', resource: 'pods' };

export async function serveBinding(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  if (info.verb !== 'create') throw errors.methodNotAllowedPath();
  const options = writeOptions(info.query, 'CreateOptions');
  const body = await readObject(context, exchange, bindingKind, options.fieldValidation);
  checkBinding(body as KubeObject & Binding, info.name);
  const name = info.name || (body.metadata.name as string);
  // POST to `bindings` is to a resource of its own, POST to `pods/NAME/binding` to the pod.
  const target = { kind: info.resource === 'bindings' ? bindingKind : kind, subresource: info.subresource, name };
  const binding = (await admitBody(
    context.admission,
    { ...target, bodyKind: bindingKind },
    body,
    writeRequest(exchange, kind, options.dryRun),
  )) as KubeObject & Binding;
  await context.registry.update(
    kind,
    {
      ...writeRequest(exchange, kind, options.dryRun),
      name,
      subresource: 'binding',
      isPatch: true,
      raw: true,
      internal: true,
    },
    (old) => bound(old as Pod & KubeObject, binding, context.clock.now()),
  );
  await exchange.sendObject(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}

function checkBinding(binding: Binding, name: string): void {
  if (name && binding.metadata.name && binding.metadata.name !== name) {
    throw errors.badRequest(
      `the name of the object (${binding.metadata.name}) does not match the name on the URL (${name})`,
    );
  }
  const found = [];
  const kind = binding.target?.kind ?? '';
  if (kind !== '' && kind !== 'Node') found.push(fieldErrors.notSupported('target.kind', kind, ['Node', '<empty>']));
  if (!binding.target?.name) found.push(fieldErrors.required('target.name'));
  if (found.length > 0) throw errors.invalid({ group: '', kind: 'Binding' }, binding.metadata.name ?? name, found);
}

function bound(old: Pod & KubeObject, binding: Binding, nowMs: number): KubeObject {
  const name = old.metadata.name as string;
  if (old.metadata.deletionTimestamp) {
    throw errors.conflict(PODS, name, `pod ${name} is being deleted, cannot be assigned to a host`);
  }
  if (old.spec?.nodeName)
    throw errors.conflict(PODS, name, `pod ${name} is already assigned to node "${old.spec.nodeName}"`);
  if (old.spec?.schedulingGates?.length)
    throw errors.conflict(PODS, name, `pod ${name} has non-empty .spec.schedulingGates`);
  const pod = deepClone(old);
  if (binding.metadata.uid) pod.metadata.uid = binding.metadata.uid;
  if (binding.metadata.resourceVersion) pod.metadata.resourceVersion = binding.metadata.resourceVersion;
  const spec = pod.spec as NonNullable<Pod['spec']>;
  spec.nodeName = binding.target.name;
  if (binding.metadata.annotations)
    pod.metadata.annotations = { ...pod.metadata.annotations, ...binding.metadata.annotations };
  // The topology of the node, by admission; a pod's own labels stay.
  if (binding.metadata.labels) pod.metadata.labels = { ...binding.metadata.labels, ...pod.metadata.labels };
  const status = (pod.status ??= {});
  const conditions = (status.conditions ?? []).filter((each) => each.type !== 'PodScheduled');
  conditions.push({ type: 'PodScheduled', status: 'True', lastTransitionTime: timestamp(nowMs) });
  status.conditions = conditions;
  return pod;
}
