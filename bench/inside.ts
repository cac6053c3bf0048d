// Runs a benchmark in the network of a test host: the first call makes the host and starts the script again inside it.
import { spawnSync } from 'node:child_process';
import { TestHost } from '../test/e2e/harness.ts';

/** Returns in the process inside only; the outer one ends with the inner one's exit code. */
export function insideTestHost(script: string): TestHost {
  const given = process.env['SAMPAN_BENCH_HOST'];
  if (given) return new TestHost('bench', JSON.parse(given) as { netns: string; dir: string });
  const host = new TestHost('bench');
  const [command, args] = host.command(process.execPath, ...process.execArgv, script, ...process.argv.slice(2));
  const { status } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, SAMPAN_BENCH_HOST: JSON.stringify({ netns: host.netns, dir: host.dir }) },
  });
  const left = host.dispose();
  if (Object.keys(left).length > 0) console.log('left behind:', left);
  process.exit(status ?? 1);
}
