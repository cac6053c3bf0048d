// The launcher and its runtime are killed before every step of every plan in the life of a pod. The next runtime finds a consistent state,
// brings the pod to its end, and nothing is left.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Launcher, SandboxSpec } from './port.ts';
import type { Step } from './steps.ts';
import { step } from './steps.ts';
import { canLaunch, createTestHost, eventually, type TestHost } from './testing.ts';

/** A runtime that dies before the `at`-th of all the steps that it has executed; nothing is executed for it after that. */
class Doomed {
  /** What it has had executed, or would have. */
  readonly steps: string[] = [];
  /** Where each kind of step was last done within each plan. */
  readonly lastOfKind: number[] = [];
  #at: number;
  #isDead = false;

  constructor(at: number) {
    this.#at = at;
  }

  tamper = (steps: readonly Step[]): readonly Step[] => {
    if (this.#isDead) throw new Error('this runtime is dead');
    const before = this.steps.length;
    this.steps.push(...steps.map(({ op }) => op));
    this.lastOfKind.push(...new Map(steps.map(({ op }, index) => [op, before + index])).values());
    if (this.steps.length <= this.#at) return steps;
    this.#isDead = true;
    const index = this.#at - before;
    return [...steps.slice(0, index), step('die', [], ''), ...steps.slice(index)];
  };

  get isDead(): boolean {
    return this.#isDead;
  }
}

describe.skipIf(!canLaunch)('killed before each step', () => {
  let host: TestHost;
  beforeEach(() => {
    host = createTestHost();
  });
  afterEach(async () => {
    await (await host.launcher()).teardown();
    await eventually(() => host.leftovers().length === 0, 'nothing is left on the host').catch((error: Error) => {
      throw new Error(`${error.message}:\n${host.leftovers().join('\n')}`);
    });
    host.dispose();
  });

  /** The life of a pod, from nothing to nothing. Each call can be made again after a crash. */
  async function live(launcher: Launcher, sandbox: SandboxSpec): Promise<void> {
    await launcher.createSandbox(sandbox);
    await launcher.createContainer(host.container('a', ['sleep', '1000']));
    await launcher.startContainer('a');
    await launcher.updateResources(sandbox.cgroupParent, { memoryLimitBytes: 64 << 20, pidsLimit: 50 });
    await launcher.kill('a', 9, { all: true });
    await launcher.removeContainer('a');
    await launcher.removeSandbox(sandbox.id);
  }

  it('a pod with a network, a host port and one process namespace', async () => {
    const sandbox = host.sandbox({ pid: 'pod', ports: [{ hostPort: 30_080, containerPort: 80, protocol: 'TCP' }] });
    const whole = async () => {
      const healthy = new Doomed(Number.POSITIVE_INFINITY);
      const launcher = await host.launcher({}, healthy.tamper);
      await live(launcher, sandbox);
      await launcher.close();
      return healthy;
    };
    // Bridge, rules and resident launcher stay from the first time on.
    await whole();
    const { steps, lastOfKind: points } = await whole();
    // Of links only the name: the bridge goes down some time after its last port. The ports themselves, and the process that
    // keeps a lock warm, go by themselves, too; what is compared with must not hold them.
    const nameOfLink = (each: string) => each.replace(/^\d+: ([^@:]+).*/, '$1');
    const settled = () => host.leftovers().map(nameOfLink).toSorted().join('\n');
    await eventually(() => {
      const found = host.leftovers();
      const count = (what: RegExp) => found.filter((each) => what.test(each)).length;
      return count(/^\d+: /) === 1 && count(/^\d+ /) === 1;
    }, 'a pod that has gone leaves the bridge and the resident launcher');
    const before = settled();
    expect(points.length).toBeGreaterThan(30);

    for (const at of points) {
      const doomed = new Doomed(at);
      const where = `died before step ${at}: ${steps.slice(Math.max(0, at - 3), at).join(', ')} ▸ ${steps[at]}`;
      let launcher: Launcher | undefined;
      try {
        launcher = await host.launcher({}, doomed.tamper);
        await live(launcher, sandbox);
      } catch (error) {
        if (!doomed.isDead) throw error;
      }
      expect(doomed.isDead, where).toBe(true);
      await launcher?.close();
      const next = await host.launcher();
      const facts = await next.facts();
      for (const each of facts.values()) expect(['created', 'running', 'exited'], where).toContain(each.state);
      const sandboxes = await next.sandboxes();
      if (facts.size > 0) expect([...sandboxes.keys()], where).toEqual([sandbox.id]);
      // What a runtime does with what it finds: it ends it. Then nothing is left of it.
      for (const id of facts.keys()) await next.removeContainer(id);
      for (const id of sandboxes.keys()) await next.removeSandbox(id);
      await eventually(() => settled() === before, 'the host is as before').catch((error: Error) => {
        throw new Error(`${where}: ${error.message}:\n${settled()}\n--- before:\n${before}`);
      });
      await next.close();
    }
  }, 400_000);
});
