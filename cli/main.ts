// The sampan command: parses the command line and imports only what the chosen command needs.
import { Command, InvalidArgumentError, Option } from 'commander';
import { bool, withAccess } from './cluster/access-flags.ts';
import { withOperations } from './cluster/operations-flags.ts';
import { DEFAULT_DATA_DIR } from './layout.ts';
import { isDiskFull, UserError } from './user-error.ts';

const program = new Command('sampan')
  .description(
    'A Kubernetes-compatible cluster on this machine: API server, scheduler, controllers, node agent and runtime.',
  )
  .version('0.1.0 (Kubernetes v1.36)')
  .configureHelp({ sortSubcommands: false })
  .showSuggestionAfterError()
  .enablePositionalOptions();

const integer = (text: string): number => {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError('not a whole number.');
  return Number(text);
};
const port = (text: string): number => {
  const value = integer(text);
  if (value < 0 || value > 65_535) throw new InvalidArgumentError('not a port (0-65535).');
  return value;
};
const collect = (value: string, previous: string[] = []): string[] => [...previous, value];
const seconds = (text: string): number => {
  const match = /^(\d+)([smh]?)$/.exec(text);
  if (!match) throw new InvalidArgumentError('not a duration such as 30s, 5m or 1h.');
  return Number(match[1]) * ({ s: 1, m: 60, h: 3600 }[match[2] || 's'] as number);
};

const dataDir = () =>
  new Option('--data-dir <dir>', 'where the cluster keeps its files').default(DEFAULT_DATA_DIR).env('SAMPAN_DATA_DIR');
const logLevel = () =>
  new Option('--log-level <level>', 'how much is logged').choices(['debug', 'info', 'warn', 'error']).default('info');
const store = () =>
  new Option(
    '--store <store>',
    "where objects are kept: 'embedded', 'memory', or etcd endpoints such as http://127.0.0.1:2379,...",
  ).default('embedded');

/** Options of whatever runs an API server. */
const withApiServer = (command: Command) =>
  withAccess(withOperations(command))
    .addOption(dataDir())
    .addOption(store())
    .option('--address <ip>', 'address the API server listens on', '0.0.0.0')
    .option('--advertise-address <ip>', 'address that pods and nodes reach it by (default: of the default route)')
    .option('--port <port>', 'port of the API server; 0 takes a free one', port, 6443)
    .option('--service-cidr <cidr>', 'range of cluster IPs', '10.96.0.0/12')
    .option('--tls-san <name>', 'one more name or address in the serving certificate (repeatable)', collect)
    .addOption(logLevel());

const CNI_CONF_DIR = 'CNI plugins make the networks of pods, by the first configuration there';
const CNI_BIN_DIR = 'where CNI plugins are (repeatable; default: /opt/cni/bin, /usr/lib/cni)';

/** Options of whatever runs a node agent. */
const withNode = (command: Command) =>
  command
    .option('--node-name <name>', 'name of this node (default: the host name)')
    .option('--node-ip <ip>', 'address of this node (default: of the default route)')
    .option('--pod-cidr <cidr>', "range of this node's pod addresses", '10.244.0.0/24')
    .option('--bridge <name>', 'name of the pod bridge', 'sampan0')
    .option('--cni-conf-dir <dir>', CNI_CONF_DIR)
    .option('--cni-bin-dir <dir>', CNI_BIN_DIR, collect)
    .option('--max-pods <number>', 'pods this node takes', integer, 110)
    .option('--kubelet-port <port>', "port of the node's server; 0 takes a free one", port, 10_250)
    .option(
      '--cluster-dns <ip>',
      'DNS server for pods (default: the node answers for the cluster, and asks the resolvers of the host)',
    )
    .option('--cluster-domain <domain>', 'DNS domain of the cluster', 'cluster.local')
    .option('--cgroup-root <path>', 'cgroup below which pods live (default: from the data directory)')
    .option('--pod-manifest-path <path>', 'file or directory of static pods: this node runs them whatever the API says')
    .option('--kubelet-config <file>', 'KubeletConfiguration; what it says wins over options');

const withMetrics = (command: Command) =>
  command.option(
    '--metrics-bind-address <address>',
    'address:port of /metrics and /healthz, in plain text (default: none)',
  );

const connected = (command: Command) =>
  command
    .addOption(dataDir())
    .option('--kubeconfig <file>', "kubeconfig to use (default: the component's own below the data directory)")
    .addOption(logLevel());

withNode(
  withApiServer(program.command('up').description('run a whole cluster on this machine, in the foreground')),
).action(async (options) => (await import('./commands/up.ts')).up(options));

program
  .command('down')
  .description('end the cluster of a data directory and clean up what it left, also after a crash')
  .addOption(dataDir())
  .option('--purge', 'also delete the data directory: objects, images, certificates')
  .action(async (options) => (await import('./commands/down.ts')).down(options));

program
  .command('kubeconfig')
  .description("print the administrator's kubeconfig")
  .addOption(dataDir())
  .action(async (options) => (await import('./commands/kubeconfig.ts')).kubeconfig(options));

const client = (name: string, description: string) =>
  program
    .command(name)
    .description(description)
    .addOption(dataDir())
    .option('--kubeconfig <file>', 'kubeconfig to use (default: KUBECONFIG, the local cluster, ~/.kube/config)')
    .option('--context <name>', 'context of the kubeconfig')
    .option('-n, --namespace <name>', 'namespace');

const token = program.command('token').description('tokens with which other machines become nodes of a cluster');
const tokenCommand = (name: string, description: string) =>
  token
    .command(name)
    .description(description)
    .addOption(dataDir())
    .option('--kubeconfig <file>', 'kubeconfig to use (default: KUBECONFIG, the local cluster, ~/.kube/config)');
tokenCommand('create', 'make a token and print the command that joins a machine with it')
  .option('--ttl <duration>', 'how long it is good: 30m, 24h; 0 for ever', seconds, 24 * 3600)
  .option('--server <url>', "https://address:port by which nodes reach the API server (default: the kubeconfig's)")
  .action(async (options) => (await import('./commands/token.ts')).tokenCreateCommand(options));
tokenCommand('list', 'list tokens, without their secret half').action(async (options) =>
  (await import('./commands/token.ts')).tokenListCommand(options),
);
tokenCommand('delete', 'end a token: nodes that have joined stay')
  .argument('<id>')
  .action(async (id, options) => (await import('./commands/token.ts')).tokenDeleteCommand(id, options));

client('get', 'list objects, or show some by name')
  .argument('<type...>', 'type or type/name, then names: pods, deploy/web, svc a b')
  .option('-o, --output <format>', 'wide, yaml, json or name')
  .option('-A, --all-namespaces', 'in all namespaces')
  .option('-l, --selector <selector>', 'label selector')
  .option('--field-selector <selector>', 'field selector')
  .option('-w, --watch', 'go on showing changes')
  .option('--no-headers', 'leave the headings out')
  .action(async (words, options) => (await import('./commands/client.ts')).getCommand(words, options));

client('describe', 'show everything about objects, with their events')
  .argument('<type...>')
  .option('-l, --selector <selector>', 'label selector')
  .action(async (words, options) => (await import('./commands/client.ts')).describeCommand(words, options));

client('apply', 'create or change objects to be as the manifests say')
  .requiredOption('-f, --filename <path>', 'file, directory or - (repeatable)', collect)
  .option('-R, --recursive', 'also read directories below')
  .action(async (options) => (await import('./commands/client.ts')).applyCommand(options));

client('delete', 'delete objects')
  .argument('[type...]')
  .option('-f, --filename <path>', 'file, directory or - (repeatable)', collect)
  .option('-l, --selector <selector>', 'label selector')
  .option('--all', 'all objects of the type in the namespace')
  .option('--grace-period <seconds>', 'seconds pods get to end', integer)
  .option('--ignore-not-found', 'what is gone already is no error')
  .option('--no-wait', 'do not wait until the objects are gone')
  .action(async (words, options) => (await import('./commands/client.ts')).deleteCommand(words, options));

client('logs', "print a container's output")
  .argument('<pod>')
  .option('-c, --container <name>', 'container (default: the first)')
  .option('-f, --follow', 'go on as it grows')
  .option('-p, --previous', 'of the container before the last restart')
  .option('--tail <lines>', 'only the last lines', integer)
  .option('--since <duration>', 'only newer than this: 30s, 5m, 1h', seconds)
  .option('--timestamps', 'with timestamps')
  .action(async (pod, options) => (await import('./commands/client.ts')).logsCommand(pod, options));

client('exec', 'run a command in a container')
  .argument('<pod>')
  .argument('<command...>')
  .option('-c, --container <name>', 'container (default: the first)')
  .option('-i, --stdin', 'pass standard input on')
  .option('-t, --tty', 'with a terminal')
  .passThroughOptions()
  .action(async (pod, command, options) => (await import('./commands/client.ts')).execCommand(pod, command, options));

withApiServer(program.command('apiserver').description('run the API server alone'))
  .option('--node-name <name>', 'node of this machine, whose certificates are made too (default: the host name)')
  .action(async (options) => (await import('./commands/components.ts')).apiserverCommand(options));
withMetrics(connected(program.command('scheduler').description('run the scheduler alone')))
  .option('--leader-elect', 'be one of several: only the holder of the lease works')
  .action(async (options) => (await import('./commands/components.ts')).schedulerCommand(options));
withMetrics(connected(program.command('controller-manager').description('run the controllers alone')))
  .option('--controllers <names>', "comma-separated: '*' for all, -name to leave one out", '*')
  .option(
    '--use-service-account-credentials <bool>',
    'each controller acts as an account of its own, with its rights (default: true)',
    bool,
  )
  .option('--leader-elect', 'be one of several: only the holder of the lease works')
  .action(async (options) => (await import('./commands/components.ts')).controllerManagerCommand(options));
withNode(connected(program.command('kubelet').description('run the node agent alone, against any CRI runtime')))
  .option('--cri-socket <path>', "the runtime's socket (default: below the data directory)")
  .option(
    '--bootstrap-kubeconfig <file>',
    'ask the cluster for a client certificate, with the token in this kubeconfig',
  )
  .option('--rotate-server-certificates', 'ask the cluster for the certificate of the node server')
  .option(
    '--image-credential-provider-config <file>',
    'CredentialProviderConfig: programs that know credentials of registries',
  )
  .option('--image-credential-provider-bin-dir <dir>', 'where these programs are')
  .action(async (options) => (await import('./commands/kubelet.ts')).kubeletCommand(options));
withNode(
  program.command('join').description('make this machine a node of a cluster, which `sampan token create` invites'),
)
  .argument('<server>', 'https://address:port of its API server')
  .option('--token <token>', 'what the node comes in with, the first time')
  .option('--discovery-token-ca-cert-hash <hash>', "sha256:<hex> of the key of the cluster's CA")
  .option('--cri-socket <path>', 'use the runtime that serves there (default: run one)')
  .addOption(dataDir())
  .addOption(logLevel())
  .action(async (server, options) => {
    await (await import('./commands/join.ts')).joinCommand(server, options);
    // Clients that ask for certificates keep their connections.
    process.exit(0);
  });

const runtime = program
  .command('runtime')
  .description('run the container runtime alone: CRI on a unix socket')
  .addOption(dataDir())
  .option('--cri-socket <path>', 'socket to serve (default: below the data directory)')
  .option('--pod-cidr <cidr>', 'range of pod addresses', '10.244.0.0/24')
  .option('--bridge <name>', 'name of the pod bridge', 'sampan0')
  .option('--cgroup-root <path>', 'cgroup below which pods live (default: from the data directory)')
  .option('--cni-conf-dir <dir>', CNI_CONF_DIR)
  .option('--cni-bin-dir <dir>', CNI_BIN_DIR, collect)
  .addOption(logLevel())
  .action(async (options) => (await import('./commands/components.ts')).runtimeCommand(options));
runtime
  .command('plan')
  .description('print how the containers of a pod would be made here: each step, the kernel call behind it, and why')
  .argument('<file>', 'manifest of a Pod, or - for standard input')
  .addOption(dataDir())
  .option('--trace', 'do it, without a network, and show what each step took; then take it away again')
  .action(async (file, options) => (await import('./commands/runtime-plan.ts')).runtimePlanCommand(file, options));
connected(program.command('proxy').description('run the service proxy alone: Services as nftables rules'))
  .option('--node-name <name>', 'name of this node (default: the host name)')
  .action(async (options) => (await import('./commands/components.ts')).proxyCommand(options));

const image = program
  .command('image')
  .description("build, pull, push, load, save and look at the images of this node's runtime")
  .enablePositionalOptions();
const imageCommand = (name: string, description: string) =>
  image.command(name).description(description).addOption(dataDir());
const images = () => import('./commands/image.ts');
const registry = () => import('./commands/image-registry.ts');
imageCommand('build', 'build an image from a Dockerfile')
  .argument('[context]', 'directory', '.')
  .requiredOption('-t, --tag <name>', 'name of the image (repeatable)', collect)
  .option('-f, --file <path>', 'Dockerfile (default: CONTEXT/Dockerfile)')
  .option('--build-arg <name=value>', 'value for an ARG (repeatable)', collect)
  .option('--target <stage>', 'the stage to build (default: the last)')
  .option('--no-cache', 'run again what was run before')
  .action(async (context, options) => (await images()).buildCommand(context, options));
imageCommand('load', 'load the images of an OCI or Docker archive, or of an OCI layout directory')
  .argument('<path>')
  .option('-t, --tag <name>', 'name for an image that has none')
  .action(async (path, options) => (await images()).loadCommand(path, options));
imageCommand('import', 'the same as load, or make an image of a root file system')
  .argument('<path>')
  .option('-t, --tag <name>', 'name for an image that has none')
  .option('--rootfs', 'the tar is a root file system')
  .option('--change <instruction>', 'how to run it, as in a Dockerfile (repeatable)', collect)
  .action(async (path, options) => (await images()).importCommand(path, options));
imageCommand('save', 'write images to an archive that load, docker and podman read')
  .argument('<image...>')
  .requiredOption('-o, --output <path>', 'the archive')
  .action(async (names, options) => (await images()).saveCommand(names, options));
imageCommand('pull', 'pull an image from its registry')
  .argument('<image>')
  .option('--creds <user:password>', "credentials (default: docker's configuration file)")
  .action(async (name, options) => (await registry()).pullCommand(name, options));
imageCommand('push', 'push an image to its registry')
  .argument('<image>')
  .argument('[as]', 'the name to push it under')
  .option('--creds <user:password>', "credentials (default: docker's configuration file)")
  .action(async (name, as, options) => (await registry()).pushCommand(name, as, options));
imageCommand('tag', 'give an image one more name')
  .argument('<image>')
  .argument('<name>')
  .action(async (image, name, options) => (await images()).tagCommand(image, name, options));
imageCommand('commit', "make an image of a container's changes")
  .argument('<container>', 'its id, or the beginning of it')
  .argument('<name>')
  .option('-a, --author <author>', 'who made it')
  .option('-m, --message <text>', 'a note for its history')
  .option('-c, --change <instruction>', 'how to run it, as in a Dockerfile (repeatable)', collect)
  .action(async (container, name, options) => (await images()).commitCommand(container, name, options));
imageCommand('ls', 'list images').action(async (options) => (await images()).listCommand(options));
imageCommand('inspect', 'print what images are made of, as JSON')
  .argument('<image...>')
  .action(async (names, options) => (await import('./commands/image-inspect.ts')).inspectCommand(names, options));
imageCommand('history', 'show the steps that made an image, newest first')
  .argument('<image>')
  .option('--no-trunc', 'whole lines')
  .action(async (name, options) => (await import('./commands/image-inspect.ts')).historyCommand(name, options));
imageCommand('rm', 'remove images by their names')
  .argument('<image...>')
  .action(async (names, options) => (await images()).removeCommand(names, options));

withNode(
  program.command('demo').description('a cluster, an image, a Deployment and a Service: what npm run demo shows'),
)
  .option('--once', 'end when the Service has answered')
  .option('--data-dir <dir>', 'where the cluster keeps its files (default: a temporary directory)')
  .option('--port <port>', 'port of the API server; 0 takes a free one', port, 6443)
  .addOption(logLevel())
  .action(async (options) => (await import('./commands/demo.ts')).demo(options));

// The node half of `sampan up`, started by it; not for people.
program.command('node', { hidden: true }).action(async () => (await import('./commands/node.ts')).node());

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${sentenceOf(error as Error)}\n`);
  process.exitCode = error instanceof UserError ? error.exitCode : 1;
}

/** What went wrong, for the person at the terminal; a defect of ours keeps its stack. */
function sentenceOf(error: Error & { reason?: string }): string {
  if (error instanceof UserError) return error.message;
  if (error.name === 'ApiError') return `Error from server (${error.reason}): ${error.message}`;
  if (error.name === 'NetworkError' || error.name === 'KubeconfigError') return `sampan: ${error.message}`;
  if (isDiskFull(error)) return `sampan: no space left on the disk: ${error.message}; make room there and start again`;
  return `sampan: this should not have happened: ${error.stack ?? error.message}`;
}
