// `matchConditions` of an authorization webhook: CEL over the review's spec. A file of its own, loaded only when there are some.
import { compile, createEnvironment, types } from '../../api/cel/index.ts';

const { string } = types;
const strings = types.list(string);
const resource = ['namespace', 'verb', 'group', 'version', 'resource', 'subresource', 'name'];
const requirements = types.object('kubernetes.SelectorAttributes', { requirements: types.list(types.dyn) });
const environment = createEnvironment({
  variables: {
    request: types.object('kubernetes.SubjectAccessReviewSpec', {
      user: string,
      groups: strings,
      uid: string,
      extra: types.map(string, strings),
      resourceAttributes: types.object('kubernetes.ResourceAttributes', {
        ...Object.fromEntries(resource.map((name) => [name, string])),
        fieldSelector: requirements,
        labelSelector: requirements,
      }),
      nonResourceAttributes: types.object('kubernetes.NonResourceAttributes', { path: string, verb: string }),
    }),
  },
});

/** Whether all hold; throws what the first that cannot be told says, when none says no. */
export type Conditions = (spec: Record<string, unknown>) => boolean;

/** Throws for what does not compile. */
export function compileConditions(expressions: readonly string[]): Conditions {
  const programs = expressions.map((text, i) => {
    const compiled = compile(environment, text, { expects: [types.bool] });
    if (!compiled.ok) {
      throw new Error(
        `matchConditions[${i}].expression: Invalid value: ${JSON.stringify(text)}: compilation failed: ${compiled.issues.split('\n')[0]}`,
      );
    }
    return compiled.program;
  });
  return (spec) => {
    const attributes = spec['resourceAttributes'] as Record<string, unknown> | undefined;
    const request = {
      uid: '',
      extra: {},
      ...spec,
      ...(attributes && {
        resourceAttributes: { ...Object.fromEntries(resource.map((name) => [name, ''])), ...attributes },
      }),
    };
    let problem: string | undefined;
    for (const program of programs) {
      const result = program.evaluate({ request });
      if (!result.ok) problem ??= result.error;
      else if (result.value !== true) return false;
    }
    if (problem !== undefined) throw new Error(problem);
    return true;
  };
}
