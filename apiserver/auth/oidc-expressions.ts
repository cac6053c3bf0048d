// CEL expressions of an AuthenticationConfiguration: over the claims of a token, or over the user they make. A file of its own,
// loaded only when a configuration has expressions.
import { createEnvironment, compile, type Environment, toJson, types } from '../../api/cel/index.ts';
import type { Compile } from './oidc-claims.ts';

const strings = types.list(types.string);
const environments: Readonly<Record<'claims' | 'user', Environment>> = {
  claims: createEnvironment({ variables: { claims: types.map(types.string, types.dyn) } }),
  user: createEnvironment({
    variables: {
      user: types.object('kubernetes.UserInfo', {
        username: types.string,
        uid: types.string,
        groups: strings,
        extra: types.map(types.string, strings),
      }),
    },
  }),
};

export const celCompile: Compile = (text, over, result) => {
  // What a claim holds is known when it is there: only rules have a type before.
  const expects = result === 'bool' ? { expects: [types.bool] } : {};
  const compiled = compile(environments[over], text, expects);
  if (!compiled.ok) throw new Error(`compilation failed: ${compiled.issues.split('\n')[0]}`);
  const { program } = compiled;
  return {
    uses: (path) => program.uses(path),
    evaluate(variables) {
      const done = program.evaluate(variables);
      if (!done.ok) throw new Error(`oidc: error evaluating expression '${text}': ${done.error}`);
      return toJson(done.value);
    },
  };
};
