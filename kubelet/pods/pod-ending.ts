// What is taken away of a pod that is over: its volumes while it is still in the API, then all the rest, then its object.
import { ApiError } from '../../api/errors.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { refs } from '../../client/refs.ts';
import { podLogDirectory } from '../containers/sandbox-config.ts';
import type { PodContext } from './context.ts';
import type { ObservedPod, PodIdentity } from './observed.ts';
import type { Operations } from './operations.ts';
import { removeSandbox } from './pod-sandbox.ts';
import { removeContainer } from './start-container.ts';

export class PodEnding {
  #context: PodContext;
  #operations: Operations;
  #identity: PodIdentity;
  /** Its volumes are gone; its containers may still be there for their logs. */
  #isUnmounted = false;
  #isReleased = false;

  constructor(context: PodContext, operations: Operations, identity: PodIdentity) {
    this.#context = context;
    this.#operations = operations;
    this.#identity = identity;
  }

  /** Nothing of it is left on the node. */
  get isReleased(): boolean {
    return this.#isReleased;
  }

  /** Over, but still in the API: its containers stay for their logs, its volumes do not. */
  rest(onUnmounted: () => void): void {
    const { uid } = this.#identity;
    this.release();
    this.#context.prober.forget(uid);
    this.#context.objects.release(uid);
    if (this.#isUnmounted) return;
    this.#operations.run('unmount', async () => {
      this.#context.userNamespaces.release(uid);
      await this.#context.cgroups?.remove(uid);
      await this.#context.volumes.tearDown(uid);
      this.#isUnmounted = true;
      onUnmounted();
    });
  }

  /** What was kept for it alone is free for others. */
  release(): void {
    this.#context.devices.release(this.#identity.uid);
    this.#context.placement?.release(this.#identity.uid);
  }

  /** Everything that it has on the node goes. True when it has. */
  clear(observed: ObservedPod): boolean {
    const { uid } = this.#identity;
    const { volumes, objects, prober, settings } = this.#context;
    const isClean = observed.sandboxes.length === 0 && observed.containers.length === 0;
    this.#isReleased = this.#isReleased && isClean;
    if (this.#isReleased) return true;
    this.#operations.run('remove', async () => {
      prober.forget(uid);
      objects.release(uid);
      // A sandbox takes its containers with it; what belongs to none is left for the second line.
      for (const each of observed.sandboxes) await removeSandbox(this.#context, each.id);
      for (const each of observed.containers)
        if (this.#context.cache.container(each.id)) await removeContainer(this.#context, each.id);
      this.#context.userNamespaces.release(uid);
      await this.#context.cgroups?.remove(uid);
      await volumes.tearDown(uid);
      await volumes.removeTree(podLogDirectory(this.#identity, settings.podLogsDir));
      this.#isReleased = true;
    });
    return false;
  }

  /** Its object goes from the API, once its last status is there. */
  deleteObject(onDeleted: () => void): void {
    const { uid, name, namespace } = this.#identity;
    this.#operations.run('delete', async () => {
      await this.#context.statuses.written(uid);
      const pods = this.#context.client.resource<Pod>(refs.pods, namespace);
      try {
        await pods.delete(name, { gracePeriodSeconds: 0, preconditions: { uid } });
      } catch (error) {
        // Gone already, or another pod of that name: either way this one is.
        if (!(error instanceof ApiError) || (error.code !== 404 && error.code !== 409)) throw error;
      }
      onDeleted();
    });
  }
}
