// sampan delete: by name, by selector or by manifest; waits until the objects are gone unless told not to.
import { ApiError } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { ResourceRef } from '../../client/port.ts';
import { Catalogue, parseTargets } from '../catalogue.ts';
import { type Manifest, readManifests } from '../manifests.ts';
import type { Session } from '../session.ts';
import { UserError } from '../user-error.ts';

export interface DeleteCommandOptions {
  filename?: string[];
  selector?: string;
  all?: boolean;
  gracePeriod?: number;
  wait: boolean;
  ignoreNotFound?: boolean;
}

interface Doomed {
  ref: ResourceRef;
  namespace: string | undefined;
  name: string;
}

export async function remove(
  session: Session,
  words: readonly string[],
  options: DeleteCommandOptions,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const catalogue = await Catalogue.load(session.client);
  const doomed = options.filename
    ? readManifests(options.filename).map((manifest) => ofManifest(catalogue, manifest, session.namespace))
    : await ofWords(session, catalogue, words, options);
  const failures: string[] = [];
  const waiting: (Doomed & { uid: string | undefined })[] = [];
  for (const each of doomed) {
    const resource = session.client.resource<KubeObject>(each.ref, each.namespace);
    try {
      const answer = await resource.delete(each.name, {
        propagationPolicy: 'Background',
        ...(options.gracePeriod !== undefined && { gracePeriodSeconds: options.gracePeriod }),
        signal,
      });
      print(
        `${each.ref.group === '' ? each.ref.kind.toLowerCase() : `${each.ref.kind.toLowerCase()}.${each.ref.group}`} "${each.name}" deleted`,
      );
      waiting.push({ ...each, uid: uidOf(answer) });
    } catch (error) {
      const isGone = error instanceof ApiError && error.code === 404;
      const forgiven = isGone && (options.ignoreNotFound || options.selector !== undefined || options.all);
      if (!forgiven) failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (options.wait) await Promise.all(waiting.map((each) => waitUntilGone(session, each, signal)));
  if (failures.length > 0) throw new UserError(failures.map((each) => `Error from server: ${each}`).join('\n'));
}

function ofManifest(catalogue: Catalogue, { where, object }: Manifest, namespace: string): Doomed {
  const ref = catalogue.ofManifest(object.apiVersion, object.kind);
  if (!object.metadata.name) throw new UserError(`${where}: metadata.name must be set`);
  return {
    ref,
    namespace: ref.namespaced ? (object.metadata.namespace ?? namespace) : undefined,
    name: object.metadata.name,
  };
}

async function ofWords(
  session: Session,
  catalogue: Catalogue,
  words: readonly string[],
  options: DeleteCommandOptions,
): Promise<Doomed[]> {
  const doomed: Doomed[] = [];
  for (const { ref, name } of parseTargets(catalogue, words)) {
    const namespace = ref.namespaced ? session.namespace : undefined;
    if (name !== undefined) {
      doomed.push({ ref, namespace, name });
      continue;
    }
    if (options.selector === undefined && !options.all) {
      throw new UserError('resource(s) were provided, but no name was specified; name one, or use -l or --all');
    }
    const list = await session.client.resource<KubeObject>(ref, namespace).listAll({ labelSelector: options.selector });
    for (const item of list.items) doomed.push({ ref, namespace, name: item.metadata.name ?? '' });
  }
  return doomed;
}

function uidOf(answer: KubeObject & { details?: { uid?: string } }): string | undefined {
  return answer.kind === 'Status' ? answer.details?.uid : answer.metadata.uid;
}

/** Watches until the object is gone or is another one of the same name. */
async function waitUntilGone(
  session: Session,
  each: Doomed & { uid: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const resource = session.client.resource<KubeObject>(each.ref, each.namespace);
  const fieldSelector = `metadata.name=${each.name}`;
  while (!signal.aborted) {
    const list = await resource.list({ fieldSelector, signal });
    const [current] = list.items;
    if (!current || (each.uid !== undefined && current.metadata.uid !== each.uid)) return;
    try {
      for await (const event of resource.watch({
        fieldSelector,
        resourceVersion: list.metadata.resourceVersion,
        signal,
      })) {
        if (event.type === 'DELETED') return;
      }
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 410) throw error;
    }
  }
}
