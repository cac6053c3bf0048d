// Custom resources as controllers see them: the kinds that definitions add to the scheme while it runs, each with a mirror of
// its own that ends when the kind goes.
import { customKinds, renameVersion } from '../../api/custom/kinds.ts';
import { customResourceDefinition } from '../../api/kinds/custom-resource-definition.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { CustomResourceDefinition } from '../../api/types/apiextensions-v1.ts';
import { isEstablished } from '../../api/validation/custom-resource-definition.ts';
import { createInformer } from '../../client/informer.ts';
import type { Informer } from '../../client/index.ts';
import { aborted, childAbort } from '../../lib/abort.ts';
import type { ControllersContext } from '../context.ts';

/**
 * Told of a kind when it is there; the function it gives back is called when the mirror ends: `isDeleted`, when its
 * definition is gone, and with it every object, whether the mirror has seen that or not.
 */
export type KindHandler = (kind: Kind, mirror: Informer<KubeObject>) => (isDeleted: boolean) => void;

export interface CustomKindsFeed {
  /** For kinds that are there and kinds that come. */
  onKind(handler: KindHandler): void;
  /** Resolves when the definitions of the beginning are known. */
  synced(signal?: AbortSignal): Promise<void>;
}

interface Mirrored {
  kinds: readonly Kind[];
  mirror: Informer<KubeObject>;
  /** The version that is mirrored. */
  kind: Kind;
  gone: ((isDeleted: boolean) => void)[];
  end(): void;
}

/** Keeps `context.scheme` in step with the definitions. Settles after `signal` aborts. */
export function runCustomKinds(
  context: Omit<ControllersContext, 'customKinds'>,
  signal: AbortSignal,
): { feed: CustomKindsFeed; done: Promise<void> } {
  const { client, clock, random, informers, scheme } = context;
  const log = context.log.child({ controller: 'custom-kinds' });
  const handlers: KindHandler[] = [];
  const mirrored = new Map<string, Mirrored>();
  const running = new Set<Promise<void>>();
  const definitions = informers.of<CustomResourceDefinition & KubeObject>(customResourceDefinition);

  function begin(name: string, kinds: readonly Kind[], kind: Kind): void {
    const scope = childAbort(signal);
    const mirror = createInformer<KubeObject>(kind, { client, clock, random, log });
    for (const each of kinds) {
      if (!scheme.byResource(each.group, each.version, each.resource)) scheme.add(each);
    }
    const work = mirror
      .run(scope.signal)
      .catch((err: unknown) => {
        if (!scope.signal.aborted) log.error({ err, definition: name }, 'mirror of a custom resource ended');
      })
      .finally(() => {
        scope.dispose();
        running.delete(work);
      });
    running.add(work);
    const entry: Mirrored = { kinds, mirror, kind, gone: [], end: () => scope.abort() };
    mirrored.set(name, entry);
    for (const handler of handlers) entry.gone.push(handler(kind, mirror));
  }

  function end(name: string, isDeleted: boolean): void {
    const entry = mirrored.get(name);
    if (!entry) return;
    mirrored.delete(name);
    entry.end();
    for (const each of entry.kinds) {
      if (scheme.byResource(each.group, each.version, each.resource) === each) scheme.remove(each);
    }
    for (const gone of entry.gone) gone(isDeleted);
  }

  function kindsOf(definition: CustomResourceDefinition & KubeObject): { served: Kind[]; storage: Kind | undefined } {
    if (!isEstablished(definition)) return { served: [], storage: undefined };
    try {
      return customKinds(definition, renameVersion);
    } catch (err) {
      log.warn({ err, definition: definition.metadata.name }, 'definition cannot be followed');
      return { served: [], storage: undefined };
    }
  }

  function update(definition: CustomResourceDefinition & KubeObject): void {
    const name = definition.metadata.name as string;
    const { served, storage } = kindsOf(definition);
    // The stored version needs no conversion.
    const kind = served.find((each) => each === storage) ?? served[0];
    if (!kind) return end(name, false);
    const present = mirrored.get(name);
    const versions = (kinds: readonly Kind[]) => kinds.map((each) => each.version).join(' ');
    if (present && present.kind.version === kind.version && versions(present.kinds) === versions(served)) return;
    end(name, false);
    begin(name, served, kind);
  }

  definitions.addHandler({
    onAdd: update,
    onUpdate: update,
    onDelete: (definition) => end(definition.metadata.name as string, true),
  });

  return {
    feed: {
      onKind(handler) {
        handlers.push(handler);
        for (const entry of mirrored.values()) entry.gone.push(handler(entry.kind, entry.mirror));
      },
      synced: (until) => definitions.synced(until),
    },
    done: aborted(signal).then(async () => {
      await Promise.all(running);
    }),
  };
}

/** Where nobody follows definitions. */
export const NO_CUSTOM_KINDS: CustomKindsFeed = { onKind() {}, synced: async () => {} };
