// sampan apply: client-side apply as kubectl does it: the manifest is kept in an annotation, and what it no longer says is removed.
import { ApiError } from '../../api/errors.ts';
import { deepEqual } from '../../api/equality.ts';
import type { KubeObject } from '../../api/object.ts';
import type { ResourceClient } from '../../client/port.ts';
import { Catalogue, describeTarget } from '../catalogue.ts';
import type { Manifest } from '../manifests.ts';
import type { Session } from '../session.ts';
import { UserError } from '../user-error.ts';
import { applyPatch } from './apply-patch.ts';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const MANAGER = 'kubectl-client-side-apply';

/** Applies every manifest in order; one that fails does not keep the others from being tried. */
export async function apply(
  session: Session,
  manifests: readonly Manifest[],
  print: (line: string) => void,
): Promise<void> {
  let catalogue = await Catalogue.load(session.client);
  const failures: string[] = [];
  for (const { where, object } of manifests) {
    try {
      const ref = catalogue.ofManifest(object.apiVersion, object.kind);
      const { name } = object.metadata;
      if (!name) throw new UserError('metadata.name must be set (apply does not take generateName)');
      const namespace = ref.namespaced ? (object.metadata.namespace ?? session.namespace) : undefined;
      const outcome = await applyOne(session.client.resource<KubeObject>(ref, namespace), object, name, namespace);
      print(`${describeTarget(ref, name)} ${outcome}`);
      // A new definition of kinds changes what later documents may use.
      if (object.kind === 'CustomResourceDefinition') catalogue = await Catalogue.load(session.client);
    } catch (error) {
      failures.push(`${where}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (failures.length > 0) throw new UserError(failures.join('\n'));
}

async function applyOne(
  resource: ResourceClient<KubeObject>,
  manifest: KubeObject,
  name: string,
  namespace: string | undefined,
): Promise<'created' | 'configured' | 'unchanged'> {
  const wanted: KubeObject = { ...manifest, metadata: { ...manifest.metadata, ...(namespace && { namespace }) } };
  const annotated = annotate(wanted);
  let current: KubeObject;
  try {
    current = await resource.get(name);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 404) throw error;
    await resource.create(annotated, { fieldManager: MANAGER });
    return 'created';
  }
  const lastApplied = current.metadata.annotations?.[LAST_APPLIED];
  if (lastApplied === annotated.metadata.annotations?.[LAST_APPLIED]) {
    const again = applyPatch(wanted, wanted);
    const result = await resource.patch(name, 'strategic', again, { fieldManager: MANAGER });
    return result.metadata.resourceVersion === current.metadata.resourceVersion ? 'unchanged' : 'configured';
  }
  const before = parseLastApplied(lastApplied);
  const result = await resource.patch(name, 'strategic', applyPatch(before, annotated), { fieldManager: MANAGER });
  return deepEqual(
    { ...result, metadata: { ...result.metadata, resourceVersion: '' } },
    { ...current, metadata: { ...current.metadata, resourceVersion: '' } },
  )
    ? 'unchanged'
    : 'configured';
}

function annotate(object: KubeObject): KubeObject {
  const { [LAST_APPLIED]: _, ...annotations } = object.metadata.annotations ?? {};
  const recorded = { ...object, metadata: { ...object.metadata, annotations } };
  return {
    ...object,
    metadata: { ...object.metadata, annotations: { ...annotations, [LAST_APPLIED]: `${JSON.stringify(recorded)}\n` } },
  };
}

/** An object that was not made by apply has nothing that apply may remove. */
function parseLastApplied(text: string | undefined): KubeObject {
  try {
    return JSON.parse(text ?? '{}') as KubeObject;
  } catch {
    return { metadata: {} };
  }
}
