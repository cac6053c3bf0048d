// CEL: evaluations a second of expressions as policies have them, beside the same written as JavaScript closures, and what
// compiling costs. `scripts/node bench/cel.ts`
import { compile, createEnvironment, types } from '../api/cel/index.ts';

interface Pod {
  metadata: { labels: Record<string, string> };
  spec: { containers: { name: string; image: string; securityContext?: { privileged?: boolean } }[] };
}

const object: Pod = {
  metadata: { labels: { app: 'web', team: 'blue' } },
  spec: {
    containers: Array.from({ length: 5 }, (_, at) => ({
      name: `c${at}`,
      image: `registry.example.com/team/app${at}:1.0`,
      securityContext: { privileged: false },
    })),
  },
};

const cases: [name: string, expression: string, closure: (object: Pod) => boolean][] = [
  [
    'a label',
    "has(object.metadata.labels.team) && object.metadata.labels.team == 'blue'",
    ({ metadata }) => metadata.labels['team'] === 'blue',
  ],
  [
    'all of five containers',
    'object.spec.containers.all(c, !has(c.securityContext) || !c.securityContext.privileged)',
    ({ spec }) => spec.containers.every((each) => !each.securityContext?.privileged),
  ],
  [
    'a pattern on five images',
    "object.spec.containers.all(c, c.image.matches('^registry[.]example[.]com/[a-z0-9/]+:[0-9.]+$'))",
    ({ spec }) => spec.containers.every((each) => /^registry[.]example[.]com\/[a-z0-9/]+:[0-9.]+$/.test(each.image)),
  ],
];

function perSecond(run: () => void): number {
  for (let warm = 0; warm < 2_000; warm++) run();
  let count = 0;
  const start = performance.now();
  for (; performance.now() - start < 500; count += 100) for (let at = 0; at < 100; at++) run();
  return Math.round((count * 1000) / (performance.now() - start));
}

const environment = createEnvironment({ variables: { object: types.dyn } });
for (const [name, expression, closure] of cases) {
  const compiled = compile(environment, expression);
  if (!compiled.ok) throw new Error(compiled.issues);
  const cel = perSecond(() => {
    const result = compiled.program.evaluate({ object });
    if (!result.ok || result.value !== true) throw new Error('wrong');
  });
  const plain = perSecond(() => {
    if (!closure(object)) throw new Error('wrong');
  });
  const compiling = perSecond(() => void compile(environment, expression));
  process.stdout.write(
    `${name}: ${cel.toLocaleString('en')} evaluations/s (closure ${plain.toLocaleString('en')}), ${compiling.toLocaleString('en')} compilations/s\n`,
  );
}
