// The images of one pod's containers on their way: checked, pulled, failed, waiting for another try. Consumed by a
// start, so that pull policy Always asks again at the next one.
import type { Container, Pod } from '../../api/types/core-v1.ts';
import type { Clock } from '../../lib/clock.ts';
import type { ImagePuller, ImageResult } from '../images/puller.ts';
import type { Waiting } from './container-status.ts';
import type { Operations } from './operations.ts';

export type ReadyImage = ImageResult & { kind: 'ready' };

/** How long ErrImagePull is shown before it reads ImagePullBackOff. */
const ERROR_SHOWN_MS = 1000;

export class PodImages {
  #results = new Map<string, ImageResult>();
  /** The retry that a container's back-off was last announced for. */
  #announced = new Map<string, number>();
  #images: ImagePuller;
  #operations: Operations;
  #clock: Clock;

  constructor(images: ImagePuller, operations: Operations, clock: Clock) {
    this.#images = images;
    this.#operations = operations;
    this.#clock = clock;
  }

  /**
   * The image when it is there; else its check or pull is under way or waits for its back-off, and the moments to look
   * again are added to `wakeAt`.
   */
  ensure(pod: Pod, container: Container, wakeAt: number[]): ReadyImage | undefined {
    const { name } = container;
    const known = this.#results.get(name);
    if (known?.kind === 'ready') return known;
    const nowMs = this.#clock.monotonic();
    if (known) {
      const shownUntil = known.failedAtMs + ERROR_SHOWN_MS;
      if (known.thenWaiting && nowMs < shownUntil) wakeAt.push(shownUntil);
      else if (known.thenWaiting && this.#announced.get(name) !== known.retryAtMs) {
        this.#announced.set(name, known.retryAtMs);
        this.#images.announceBackOff(pod, container);
      }
      if (nowMs < known.retryAtMs) {
        wakeAt.push(known.retryAtMs);
        return undefined;
      }
    }
    this.#operations.run(`image:${name}`, async (signal) => {
      const result = await this.#images.ensure(pod, container, signal);
      if (!signal.aborted) this.#results.set(name, result);
    });
    return undefined;
  }

  consume(name: string): void {
    this.#results.delete(name);
  }

  /** Waiting states of the containers whose image failed. */
  waiting(nowMs: number): Map<string, Waiting> {
    const waiting = new Map<string, Waiting>();
    for (const [name, image] of this.#results) {
      if (image.kind !== 'failed') continue;
      const isBackingOff = nowMs >= image.failedAtMs + ERROR_SHOWN_MS;
      waiting.set(name, (isBackingOff && image.thenWaiting) || image.waiting);
    }
    return waiting;
  }
}
