// The volumes of one pod while it runs: set up once, refreshed when something behind them has changed or is due.
import type { Pod } from '../../api/types/core-v1.ts';
import type { PodFieldFacts } from '../containers/field-ref.ts';
import type { VolumePaths } from '../volumes/volumes.ts';
import type { PodContext } from './context.ts';
import type { Operations } from './operations.ts';

export class PodVolumes {
  #context: PodContext;
  #operations: Operations;
  #fields: (pod: Pod) => PodFieldFacts;
  #paths: VolumePaths | undefined;
  #wantsRefresh = false;

  constructor(context: PodContext, operations: Operations, fields: (pod: Pod) => PodFieldFacts) {
    this.#context = context;
    this.#operations = operations;
    this.#fields = fields;
  }

  /** Undefined before they are set up. */
  get paths(): VolumePaths | undefined {
    return this.#paths;
  }

  /** What is behind them has changed. */
  refresh(): void {
    this.#wantsRefresh = true;
  }

  /** They are torn down. */
  forget(): void {
    this.#paths = undefined;
  }

  /** Starts what is missing; `current` is the pod as it is when a refresh begins. */
  keep(pod: Pod, current: () => Pod, wakeAt: number[]): void {
    const { volumes, clock } = this.#context;
    if (!this.#paths) {
      this.#operations.run('volumes', async (signal) => {
        this.#wantsRefresh = false;
        this.#paths = await volumes.setUp(this.#fields(pod), signal);
      });
      return;
    }
    const renewal = volumes.renewalMs(pod.metadata.uid ?? '');
    if (renewal !== undefined && renewal <= clock.now()) this.#wantsRefresh = true;
    else if (renewal !== undefined) wakeAt.push(clock.monotonic() + renewal - clock.now());
    if (!this.#wantsRefresh) return;
    this.#operations.run('refresh', async (signal) => {
      this.#wantsRefresh = false;
      try {
        await volumes.refresh(this.#fields(current()), signal);
      } catch (error) {
        this.#wantsRefresh = true;
        throw error;
      }
    });
  }
}
