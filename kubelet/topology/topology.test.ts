import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Container, Pod, PodSpec } from '../../api/types/core-v1.ts';
import { refs } from '../../client/refs.ts';
import { signals } from '../eviction/thresholds.ts';
import { readKubeletConfiguration } from '../config.ts';
import { createHarness, type Harness, hostFacts, makePod } from '../testing/harness.ts';
import { assignCpus, type AssignOptions } from './assign-cpus.ts';
import { decidePlace, type Hint, type Hints, type TopologyPolicy } from './hints.ts';
import { formatCpus, type Machine, parseCpus, readMachine } from './machine.ts';
import { readTopology } from './options.ts';
import { type Assignments, planPod, type PlanFacts, type TopologySettings } from './plan.ts';

/** `nodes` memory nodes, one socket each, with cores of two threads: threads of core c are c and c + half, as on most machines. */
function machineOf(nodes: number, coresPerNode: number, threads = 2, memoryGi = 8): Machine {
  const cores = nodes * coresPerNode;
  const cpus = Array.from({ length: cores * threads }, (_, id) => {
    const core = id % cores;
    const node = Math.floor(core / coresPerNode);
    return { id, core, socket: node, node };
  });
  const capacity = { memory: memoryGi * 2 ** 30, 'hugepages-2Mi': 0 };
  return { cpus, nodes: Array.from({ length: nodes }, (_, id) => ({ id, capacity })) };
}

it('lists of processors are read and written', () => {
  expect(formatCpus([8, 0, 1, 2, 3, 10, 11])).toBe('0-3,8,10-11');
  expect(parseCpus('0-3,8, 10-11')).toEqual([0, 1, 2, 3, 8, 10, 11]);
  expect(parseCpus('')).toEqual([]);
  for (const text of ['3-1', 'a', '1-', '-1', '0-99999999']) expect(() => parseCpus(text)).toThrow('is not a list');
});

it('the machine is read from the kernel', () => {
  const { cpus, nodes } = readMachine();
  expect(formatCpus(cpus.map((each) => each.id))).toBe(readFileSync('/sys/devices/system/cpu/online', 'utf8').trim());
  expect(nodes[0]?.capacity['memory']).toBeGreaterThan(2 ** 28);
});

describe('processors', () => {
  // Two nodes of four cores of two threads: node 0 is 0-3,8-11, node 1 is 4-7,12-15.
  const machine = machineOf(2, 4);
  it.each<[string, number, AssignOptions, string | undefined]>([
    ['0-15', 8, {}, '0-3,8-11'],
    ['0-15', 2, {}, '0,8'],
    ['0-15', 3, {}, '0-1,8'],
    ['1-15', 8, {}, '4-7,12-15'],
    ['1-15', 2, {}, '1,9'],
    ['1-15', 1, {}, '8'],
    ['0-15', 16, {}, '0-15'],
    ['0-14', 16, {}, undefined],
    ['1-7,12-15', 2, {}, '4,12'],
    ['0-15', 4, { fullCores: true }, '0-1,8-9'],
    ['0-15', 2, { acrossCores: true }, '0-1'],
    ['0-15', 10, { acrossNodes: true }, '0-2,4-6,8-9,12-13'],
    ['0-15', 8, { acrossNodes: true }, '0-3,8-11'],
    ['2-15', 12, { acrossNodes: true, fullCores: true }, '2-7,10-15'],
  ])('of %s, %i with %j: %s', (free, count, options, expected) => {
    const found = assignCpus(machine, new Set(parseCpus(free)), count, options);
    expect(found && formatCpus(found)).toBe(expected);
  });
});

describe('the place all resources agree on', () => {
  const hint = (nodes: number[] | undefined, preferred: boolean): Hint => ({ nodes, preferred });
  const [one, two, both] = [hint([0], true), hint([1], true), hint([0, 1], false)];
  it.each<[TopologyPolicy, Hints[], boolean, number[] | undefined]>([
    [
      'best-effort',
      [
        [one, two, both],
        [two, both],
      ],
      true,
      [1],
    ],
    [
      'restricted',
      [
        [one, two, both],
        [two, both],
      ],
      true,
      [1],
    ],
    [
      'restricted',
      [
        [one, both],
        [two, both],
      ],
      false,
      [0],
    ],
    [
      'best-effort',
      [
        [one, both],
        [two, both],
      ],
      true,
      [0],
    ],
    [
      'single-numa-node',
      [
        [one, both],
        [two, both],
      ],
      false,
      undefined,
    ],
    [
      'single-numa-node',
      [
        [one, two, both],
        [two, both],
      ],
      true,
      [1],
    ],
    ['restricted', [[hint([0, 1], true)]], true, [0, 1]],
    ['single-numa-node', [[hint([0, 1], true)]], false, undefined],
    ['restricted', [[]], false, [0, 1]],
    ['best-effort', [[]], true, [0, 1]],
    ['single-numa-node', [undefined], true, undefined],
    ['single-numa-node', [], true, undefined],
  ])('%s of %j: admitted %s at %j', (policy, hints, admitted, nodes) => {
    expect(decidePlace(policy, [0, 1], hints)).toMatchObject({ admitted, hint: { nodes } });
  });
});

const container = (name: string, cpu: string, memory = '1Gi', more: Partial<Container> = {}): Container => ({
  name,
  image: 'app:1',
  resources: { limits: { cpu, memory }, requests: { cpu, memory } },
  ...more,
});
const podOf = (uid: string, containers: Container[], more: Partial<PodSpec> = {}): Pod => ({
  metadata: { uid },
  spec: { containers, ...more },
});

describe('a pod', () => {
  const settings: TopologySettings = {
    cpuPolicy: 'static',
    cpuOptions: {},
    memoryPolicy: 'Static',
    policy: 'none',
    scope: 'container',
  };
  const plan = (pod: Pod, change: Partial<TopologySettings> = {}, taken: Assignments = {}) => {
    const machine = machineOf(2, 4);
    const facts: PlanFacts = {
      settings: { ...settings, ...change },
      machine,
      reservedCpus: new Set([0, 8]),
      memoryNodes: machine.nodes,
      taken,
    };
    const result = planPod(facts, pod);
    if (result.kind === 'refused') return `${result.reason}: ${result.message}`;
    return Object.fromEntries(
      Object.entries(result.containers).map(([name, { cpus, memory }]) => [
        name,
        [cpus ? formatCpus(cpus) : '', memory?.map((each) => each.nodes.join()).join(' ') ?? ''].join(' on '),
      ]),
    );
  };

  it.each<[string, Pod, Partial<TopologySettings>, Assignments, unknown]>([
    [
      'gets whole processors alone',
      podOf('a', [container('x', '2'), container('y', '1')]),
      {},
      {},
      { x: '1,9 on 0', y: '2 on 0' },
    ],
    ['shares when it asks for parts', podOf('a', [container('x', '1500m')]), {}, {}, { x: ' on 0' }],
    [
      'shares when it is not Guaranteed',
      podOf('a', [{ ...container('x', '2'), resources: { requests: { cpu: '2' } } }]),
      {},
      {},
      {},
    ],
    ['never gets reserved processors', podOf('a', [container('x', '14')]), {}, {}, { x: '1-7,9-15 on 0' }],
    [
      'is refused when there are too few',
      podOf('a', [container('x', '15')]),
      {},
      {},
      'UnexpectedAdmissionError: Allocate failed due to not enough cpus available to satisfy request: requested=15, available=14, which is unexpected',
    ],
    [
      'gets whole cores only, where they are asked for',
      podOf('a', [container('x', '3')]),
      { cpuOptions: { fullCores: true } },
      {},
      'SMTAlignmentError: SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2',
    ],
    [
      'does not make do with halves of cores',
      podOf('a', [container('x', '14')]),
      { cpuOptions: { fullCores: true } },
      { b: { z: { cpus: [1] } } },
      'SMTAlignmentError: SMT Alignment Error: not enough free physical CPUs: available physical CPUs = 12, requested CPUs = 14, CPUs per core = 2',
    ],
    [
      'takes over what its init containers had',
      podOf('a', [container('x', '6'), container('y', '8')], { initContainers: [container('init', '8')] }),
      {},
      {},
      { init: '4-7,12-15 on 0', x: '4-6,12-14 on 0', y: expect.stringMatching(/ on 0$/) },
    ],
    [
      'keeps what its sidecars have from its containers',
      podOf('a', [container('x', '8')], {
        initContainers: [container('side', '8', '1Gi', { restartPolicy: 'Always' })],
      }),
      {},
      {},
      'UnexpectedAdmissionError: Allocate failed due to not enough cpus available to satisfy request: requested=8, available=6, which is unexpected',
    ],
    [
      'is in one node, memory and processors',
      podOf('a', [container('x', '2', '6Gi')]),
      { policy: 'single-numa-node' },
      { b: { z: { memory: [{ nodes: [0], resource: 'memory', bytes: 3 * 2 ** 30 }] } } },
      { x: '4,12 on 1' },
    ],
    [
      'is refused where no node has both',
      podOf('a', [container('x', '4', '6Gi')]),
      { policy: 'restricted' },
      {
        b: {
          z: { memory: [{ nodes: [0], resource: 'memory', bytes: 3 * 2 ** 30 }], cpus: [4, 5, 6, 12, 13] },
        },
      },
      'TopologyAffinityError: Resources cannot be allocated with Topology locality',
    ],
    [
      'is let in there by best effort',
      podOf('a', [container('x', '4', '6Gi')]),
      { policy: 'best-effort' },
      {
        b: {
          z: { memory: [{ nodes: [0], resource: 'memory', bytes: 3 * 2 ** 30 }], cpus: [4, 5, 6, 12, 13] },
        },
      },
      { x: expect.stringMatching(/ on 1$/) },
    ],
    [
      'is in one node as a whole, with scope pod',
      podOf('a', [container('x', '4', '1Gi'), container('y', '4', '1Gi')]),
      { policy: 'single-numa-node', scope: 'pod' },
      {},
      { x: '4-5,12-13 on 1', y: '6-7,14-15 on 1' },
    ],
    [
      'is refused when memory is short everywhere',
      podOf('a', [container('x', '1', '17Gi')]),
      {},
      {},
      'UnexpectedAdmissionError: Allocate failed due to [memorymanager] failed to get the default NUMA affinity, no NUMA nodes with enough memory is available, which is unexpected',
    ],
    ['spans nodes when one is too small', podOf('a', [container('x', '1', '12Gi')]), {}, {}, { x: '1 on 0,1' }],
    [
      'does not mix one node with several',
      podOf('a', [container('x', '1', '12Gi')]),
      {},
      { b: { z: { memory: [{ nodes: [0], resource: 'memory', bytes: 1 }] } } },
      expect.stringContaining('[memorymanager]'),
    ],
  ])('%s', (_title, pod, change, taken, expected) => {
    expect(plan(pod, change, taken)).toEqual(expected);
  });
});

describe('configuration', () => {
  it('is nothing by default', () => {
    expect(readTopology({ cpuManagerPolicy: 'none', topologyManagerScope: 'container' })).toBeUndefined();
  });

  it('is read from a KubeletConfiguration', () => {
    const head = { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' };
    const { topology } = readKubeletConfiguration({
      ...head,
      cpuManagerPolicy: 'static',
      cpuManagerPolicyOptions: { 'full-pcpus-only': 'true', 'strict-cpu-reservation': 'true' },
      memoryManagerPolicy: 'Static',
      reservedMemory: [{ numaNode: 0, limits: { memory: '1Gi' } }],
      reservedSystemCPUs: '0,2',
      topologyManagerPolicy: 'restricted',
      topologyManagerScope: 'pod',
    });
    expect(topology).toMatchObject({
      settings: { cpuPolicy: 'static', cpuOptions: { fullCores: true }, policy: 'restricted', scope: 'pod' },
      reservedCpus: [0, 2],
      strict: true,
      reservedMemory: [{ node: 0, limits: { memory: 2 ** 30 } }],
    });
    expect(() => readKubeletConfiguration({ ...head, cpuManagerPolicy: 'dynamic' })).toThrow(
      'KubeletConfiguration: cpuManagerPolicy: "dynamic" is not one of none, static',
    );
  });

  it.each([
    [{ cpuManagerPolicyOptions: { 'full-pcpus-only': 'true' } }, 'the none policy does not accept options'],
    [{ cpuManagerPolicy: 'static', cpuManagerPolicyOptions: { 'align-by-socket': 'true' } }, 'align-by-socket'],
    [
      {
        cpuManagerPolicy: 'static',
        cpuManagerPolicyOptions: { 'full-pcpus-only': 'true', 'distribute-cpus-across-cores': 'true' },
      },
      'can not be used at the same time',
    ],
    [{ memoryManagerPolicy: 'Static' }, 'needs memory of at least one node'],
    [{ reservedMemory: [{ numaNode: 0, limits: { memory: '1' } }] }, 'needs memoryManagerPolicy Static'],
    [{ reservedSystemCPUs: 'x' }, 'is not a list of processors'],
    [{ topologyManagerPolicyOptions: { 'max-allowable-numa-nodes': '9' } }, 'not supported'],
  ])('refuses %j', (given, message) => {
    expect(() => readTopology(given)).toThrow(message);
  });
});

describe('a node with the static policy', () => {
  let harness: Harness | undefined;
  afterEach(async () => {
    await harness?.stop();
    harness = undefined;
  });
  const begin = async (change: Record<string, unknown> = {}) => {
    const made = (harness ??= createHarness());
    // The kubelet loads it by itself, in real time, which virtual time does not wait for.
    await import('./placement.ts');
    const topology = readTopology({ cpuManagerPolicy: 'static', reservedSystemCPUs: '0', ...change });
    const observe = () => new Map(signals.map((each) => [each, { available: 2 ** 40, capacity: 2 ** 41 }]));
    await made.start({
      ...(topology && { topology }),
      host: { facts: hostFacts, observe, machine: machineOf(1, 4, 1) },
    });
    return made;
  };
  const cpusOf = ({ cri }: Harness) =>
    Object.fromEntries(
      cri.running().map(({ status, config }) => {
        const updates = cri.calls.filter((each) => each.method === 'UpdateContainerResources');
        const told = updates.map((each) => each.request as { containerId: string; linux: { cpusetCpus: string } });
        const latest = told.findLast((each) => each.containerId === status.id);
        return [
          status.labels?.['io.kubernetes.pod.name'],
          latest?.linux.cpusetCpus ?? config?.linux?.resources?.cpusetCpus,
        ];
      }),
    );

  it('moves the others aside, remembers it over a restart, and gives processors back', async () => {
    const h = await begin();
    await h.create(makePod({}, 'shares'));
    expect(cpusOf(h)).toEqual({ shares: '0-3' });
    const own = await h.create(makePod({ containers: [container('app', '2')] }, 'alone'));
    expect(cpusOf(h)).toEqual({ shares: '0,3', alone: '1-2' });
    expect(
      h.cri.running().find((each) => each.status.labels?.['io.kubernetes.pod.name'] === 'alone')?.config?.linux
        ?.resources,
    ).toMatchObject({ cpuQuota: -1 });
    const file = join(h.stateDir, 'cpu_manager_state');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      policyName: 'static',
      defaultCpuSet: '0,3',
      entries: { [own.metadata.uid as string]: { app: '1-2' } },
    });

    await h.kill();
    await begin();
    await h.create(makePod({}, 'shares-too'));
    expect(cpusOf(h)).toEqual({ shares: '0,3', alone: '1-2', 'shares-too': '0,3' });
    await h.api.resource<Pod>(refs.pods, 'default').delete('alone');
    await h.advance(31_000);
    expect(cpusOf(h)).toEqual({ shares: '0-3', 'shares-too': '0-3' });
  });

  it('does not start with the state of another policy', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'topology-'));
    try {
      const { startPlacement } = await import('./start.ts');
      writeFileSync(join(dir, 'cpu_manager_state'), '{"policyName":"static","defaultCpuSet":"0-3"}');
      const start = (topology: ReturnType<typeof readTopology>) =>
        startPlacement({ stateDir: dir, topology, machine: machineOf(1, 4, 1), reserved: {} } as never);
      await expect(start(undefined)).rejects.toThrow(
        'configured policy "none" differs from state checkpoint policy "static"',
      );
      await expect(start(readTopology({ cpuManagerPolicy: 'static' }))).rejects.toThrow('to be greater than zero');
      await expect(start(readTopology({ cpuManagerPolicy: 'static', reservedSystemCPUs: '9' }))).rejects.toThrow(
        '9 are not online',
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
