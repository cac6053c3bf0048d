// A runtime with the real launcher as a process of its own, for tests that kill it.
// Arguments: state directory, launcher binary, name (of bridge and cgroup), pod CIDR, log file's level.
import { systemClock } from '../../lib/clock.ts';
import { createLogger } from '../../lib/log.ts';
import { startRuntime } from '../index.ts';
import { createLauncher } from '../launch/index.ts';

const [stateDir = '', binary = '', name = '', podCidr = ''] = process.argv.slice(2);
const log = createLogger('runtime', { level: 'warn' });
const launcher = await createLauncher({
  stateDir: `${stateDir}/launcher`,
  binary,
  cgroupRoot: `/${name}`,
  network: { bridge: name, podCidr },
  clock: systemClock,
  log,
});
const runtime = await startRuntime({
  stateDir,
  socketPath: `${stateDir}/cri.sock`,
  launcher,
  podCidr,
  clock: systemClock,
  random: Math.random,
  log,
});
process.on('SIGTERM', () => {
  launcher
    .teardown()
    .then(() => runtime.stop())
    .then(() => process.exit(0));
});
process.stdout.write('ready\n');
