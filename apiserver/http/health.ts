// /healthz, /livez and /readyz: named checks, each also at its own path; `?verbose` lists them, `?exclude=` skips some.
import type { Exchange } from './exchange.ts';

export interface HealthCheck {
  name: string;
  /** Throws what is wrong. */
  check(): void | Promise<void>;
  /** Which endpoints run it; absent: all three. */
  on?: readonly Endpoint[];
}

type Endpoint = 'healthz' | 'livez' | 'readyz';
const ENDPOINTS: readonly Endpoint[] = ['healthz', 'livez', 'readyz'];

/** True when the path was one of ours and is answered. */
export async function serveHealth(exchange: Exchange, checks: readonly HealthCheck[]): Promise<boolean> {
  const [, endpoint = '', ...rest] = exchange.info.path.replace(/\/+$/, '').split('/');
  if (!ENDPOINTS.includes(endpoint as Endpoint)) return false;
  const offered = checks.filter((each) => !each.on || each.on.includes(endpoint as Endpoint));
  const name = rest.join('/');
  if (name !== '') {
    const one = offered.find((each) => each.name === name);
    if (!one) return false;
    const problem = await run(one);
    await (problem === undefined
      ? exchange.sendText(200, 'ok')
      : exchange.sendText(500, `internal server error: ${problem}\n`));
    return true;
  }
  const excluded = new Set(exchange.info.query.getAll('exclude'));
  const lines: string[] = [];
  let failed = 0;
  for (const each of offered) {
    if (excluded.has(each.name)) {
      lines.push(`[+]${each.name} excluded: ok`);
      continue;
    }
    const problem = await run(each);
    if (problem !== undefined) failed++;
    lines.push(problem === undefined ? `[+]${each.name} ok` : `[-]${each.name} failed: reason withheld`);
  }
  if (failed > 0) {
    await exchange.sendText(500, `${lines.join('\n')}\n${endpoint} check failed\n`);
  } else if (exchange.info.query.has('verbose')) {
    await exchange.sendText(200, `${lines.join('\n')}\n${endpoint} check passed\n`);
  } else await exchange.sendText(200, 'ok');
  return true;
}

async function run(check: HealthCheck): Promise<string | undefined> {
  try {
    await check.check();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
