// What a request to the node server asks leave for: a verb on subresources of this Node object, tried in order; one that is
// allowed is enough. Pure; the table is upstream's (pkg/kubelet/server/auth.go, with fine-grained authorization).

export interface NodeAttributes {
  verb: string;
  subresources: readonly string[];
}

const verbs: Record<string, string> = {
  POST: 'create',
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** Paths with leave of their own besides `nodes/proxy`, which allows everything here. */
const table: readonly [path: string, subresources: readonly string[]][] = [
  ['/stats', ['stats']],
  ['/metrics', ['metrics']],
  ['/logs', ['log']],
  ['/checkpoint', ['checkpoint']],
  ['/pods', ['pods', 'proxy']],
  ['/runningpods', ['pods', 'proxy']],
  ['/healthz', ['healthz', 'proxy']],
  ['/configz', ['configz', 'proxy']],
];

export function attributesOf(method: string, path: string): NodeAttributes {
  const found = table.find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`));
  return { verb: verbs[method] ?? '', subresources: found?.[1] ?? ['proxy'] };
}
