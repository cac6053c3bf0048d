// What a worker asks of the node's other pods.
import type { Node, Pod } from '../../api/types/core-v1.ts';

export interface WorkerHost {
  /** The other pods that take up resources, with what they were granted. */
  others(): Pod[];
  /** What the API shows of a static pod, by namespace/name. */
  mirror(key: string): Pod | undefined;
  node(): Node | undefined;
  /** Resources have become free: pods that wait for some may ask again. */
  onFreed(): void;
  onGone(): void;
}
