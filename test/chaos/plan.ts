// What the chaos test does, as a list made from a seed: pods created, changed and deleted, processes killed. Pure: the same seed,
// the same list; how fast the machine is changes nothing in it.
import type { Pod } from '../../api/types/core-v1.ts';
import type { Random } from '../../lib/clock.ts';
import { OTHER_IMAGE, podOf, type Shape, shapes } from './shapes.ts';

/** What is killed with SIGKILL. Those with `downMs` come back by a supervisor after that time; the launcher is started by the runtime. */
export type Victim = 'apiserver' | 'kubelet' | 'runtime';

export type Operation = { pauseMs: number } & (
  | { do: 'create'; pod: Pod; shape: Shape }
  | { do: 'label'; name: string; value: string }
  | { do: 'image'; name: string; container: string; image: string }
  | { do: 'resize'; name: string; container: string; memory: string }
  | { do: 'debug'; name: string; container: string }
  | { do: 'delete'; name: string; graceSeconds: number }
  /** One process of the pod's containers, or one shim of theirs; `draw` in [0, 1) says which. */
  | { do: 'kill-process' | 'kill-shim'; name: string; draw: number }
  | { do: 'kill-launcher' }
  | { do: 'kill'; victims: Victim[]; downMs: number }
);

interface Living {
  name: string;
  shape: Shape;
  changed: boolean;
  killed: boolean;
  /** How many operations came before it. */
  age: number;
}

/** Creates `pods` pods; about `alive` of them at a time. */
export function planChaos(random: Random, { pods, alive }: { pods: number; alive: number }): Operation[] {
  const operations: Operation[] = [];
  const living: Living[] = [];
  let created = 0;
  let changes = 0;
  const below = (n: number) => Math.floor(random() * n);
  const add = (operation: Omit<Operation, 'pauseMs'>) =>
    operations.push({ ...operation, pauseMs: random() < 0.5 ? 0 : below(200) } as Operation);
  const pickLiving = (wanted: (each: Living) => boolean): Living | undefined => {
    const fitting = living.filter(wanted);
    return fitting[below(fitting.length)];
  };

  while (created < pods || living.length > alive) {
    const draw = random();
    if (created < pods && (draw < 0.4 || living.length < 3)) {
      // Each shape comes once before any comes at random.
      const shape = (shapes[created] ?? shapes[below(shapes.length)]) as Shape;
      const name = `${shape.name}-${created}`;
      add({ do: 'create', pod: podOf(shape, name, random, created), shape } as never);
      living.push({ name, shape, changed: false, killed: false, age: operations.length });
      created++;
    } else if (living.length > alive || draw < 0.55) {
      const [gone] = living.splice(below(living.length), 1);
      if (gone) add({ do: 'delete', name: gone.name, graceSeconds: [0, 0, 1, 1, 30][below(5)] } as never);
    } else if (draw < 0.85) {
      const change = changeOf(random, pickLiving, ++changes);
      if (change) add(change as never);
    } else {
      add(killOf(random, (wanted) => pickLiving((each) => wanted(each) && operations.length - each.age > 12)) as never);
    }
  }
  return operations;
}

type Pick = (wanted: (each: Living) => boolean) => Living | undefined;
type Action = Operation extends infer Each ? (Each extends unknown ? Omit<Each, 'pauseMs'> : never) : never;

function changeOf(random: Random, pickLiving: Pick, serial: number): Action | undefined {
  const draw = random();
  if (draw < 0.5) {
    const pod = pickLiving(() => true);
    return pod && { do: 'label', name: pod.name, value: `v${serial}` };
  }
  if (draw < 0.7) {
    const pod = pickLiving((each) => !each.changed && restarts(each.shape));
    if (!pod) return undefined;
    pod.changed = true;
    const container = containerOf(pod.shape);
    return { do: 'image', name: pod.name, container, image: OTHER_IMAGE };
  }
  if (draw < 0.85) {
    const pod = pickLiving((each) => each.shape.name === 'limited');
    return pod && { do: 'resize', name: pod.name, container: 'c', memory: `${48 + 16 * Math.floor(random() * 4)}Mi` };
  }
  const pod = pickLiving((each) => each.shape.ending.kind === 'running');
  return pod && { do: 'debug', name: pod.name, container: `debug-${serial}` };
}

function killOf(random: Random, pickLiving: Pick): Action {
  const draw = random();
  const downMs = Math.floor(random() * 1500);
  if (draw < 0.4) {
    // Once each: more would wait for their back-off for longer than a test wants to.
    const pod = pickLiving((each) => !each.killed && !each.changed);
    if (pod) {
      pod.killed = true;
      return { do: random() < 0.6 ? 'kill-process' : 'kill-shim', name: pod.name, draw: random() };
    }
  }
  if (draw < 0.55) return { do: 'kill-launcher' };
  if (draw < 0.68) return { do: 'kill', victims: ['kubelet'], downMs };
  if (draw < 0.8) return { do: 'kill', victims: ['runtime'], downMs };
  if (draw < 0.9) return { do: 'kill', victims: ['apiserver'], downMs };
  return { do: 'kill', victims: ['kubelet', 'runtime', ...(draw < 0.95 ? (['apiserver'] as const) : [])], downMs };
}

const containerOf = (shape: Shape): string =>
  shape.name === 'three' || shape.name === 'one-pid-namespace' ? 'a' : 'c';

const restarts = (shape: Shape): boolean => shape.ending.kind === 'running';
