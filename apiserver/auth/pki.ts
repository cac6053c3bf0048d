// The cluster's keys and certificates on disk: made at first start, renewed when near expiry, read otherwise.
//
//   DIR/ca.{crt,key}           the cluster CA (EC P-256)
//   DIR/apiserver.{crt,key}    serving certificate of the API server
//   DIR/NAME.{crt,key}         client certificates: admin, scheduler, controller-manager, proxy, kubelet-client
//   DIR/nodes/NODE.{crt,key}   a kubelet's client certificate; NODE-serving.* its serving certificate
//   DIR/front-proxy-ca.*       the CA of proxies that name users; front-proxy-client.* this server as one of them
//   DIR/sa.key                 signs service-account tokens
//
// Directories are 0700, files 0600. The X.509 library is imported only when something must be issued.
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import type { CertificateSpec } from './issue.ts';

export interface KeyPair {
  certificatePem: string;
  keyPem: string;
}

export interface NodePki {
  /** `CN=system:node:NAME, O=system:nodes`: the kubelet to the API server. */
  client: KeyPair;
  /** The kubelet's own HTTPS server. */
  serving: KeyPair;
}

export interface ClusterPki {
  dir: string;
  caPem: string;
  /** Serving certificate of the API server. */
  apiserver: KeyPair;
  /** `CN=kubernetes-admin, O=system:masters`. */
  admin: KeyPair;
  scheduler: KeyPair;
  controllerManager: KeyPair;
  proxy: KeyPair;
  /** The API server to kubelets: `CN=kube-apiserver-kubelet-client, O=system:masters`. */
  kubeletClient: KeyPair;
  nodes: Readonly<Record<string, NodePki>>;
  /** Of the proxies that name users to the servers behind them; not the cluster CA: what it signs is nobody here. */
  frontProxyCaPem: string;
  /** The API server to the servers of aggregated APIs: `CN=front-proxy-client`. */
  frontProxyClient: KeyPair;
  /** PKCS#8 private key (EC P-256) of service-account tokens. */
  serviceAccountKeyPem: string;
}

export interface PkiOptions {
  clock: Clock;
  /** Nodes that get certificates now; more can be had later from `ensureNodePki`. */
  nodeNames?: readonly string[];
  /** More DNS names and IP addresses for the API server's certificate. */
  extraSans?: readonly string[];
  /** More names and addresses for the kubelets' serving certificates, by node. */
  nodeSans?: Readonly<Record<string, readonly string[]>>;
  /** First address of the service CIDR; default 10.96.0.1. */
  serviceIp?: string;
  clusterDomain?: string;
}

const DAY_MS = 24 * 3600 * 1000;
const CA_DAYS = 3650;
const LEAF_DAYS = 365;
/** A certificate with less than this left is issued again. */
const RENEW_BEFORE_MS = 60 * DAY_MS;

/** Reads what is there and issues what is missing, near expiry, or lacks a wanted name. */
export async function ensureClusterPki(dir: string, options: PkiOptions): Promise<ClusterPki> {
  makePrivateDirectory(dir);
  const authority = await ensureAuthority(dir, options.clock);
  const proxyAuthority = await ensureAuthority(dir, options.clock, 'front-proxy-ca');
  const domain = options.clusterDomain ?? 'cluster.local';
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', `kubernetes.default.svc.${domain}`];
  const leaf = (name: string, spec: Omit<CertificateSpec, 'days'>) => ensureLeaf(dir, name, spec, authority, options);
  const nodes: Record<string, NodePki> = {};
  const pki = {
    dir,
    caPem: authority.certificatePem,
    apiserver: await leaf('apiserver', {
      commonName: 'kube-apiserver',
      usage: 'server',
      sans: unique([
        '127.0.0.1',
        '::1',
        'localhost',
        hostname(),
        ...service,
        options.serviceIp ?? '10.96.0.1',
        ...(options.extraSans ?? []),
      ]),
    }),
    admin: await leaf('admin', client('kubernetes-admin', 'system:masters')),
    scheduler: await leaf('scheduler', client('system:kube-scheduler')),
    controllerManager: await leaf('controller-manager', client('system:kube-controller-manager')),
    proxy: await leaf('proxy', client('system:kube-proxy')),
    kubeletClient: await leaf('kubelet-client', client('kube-apiserver-kubelet-client', 'system:masters')),
    frontProxyCaPem: proxyAuthority.certificatePem,
    frontProxyClient: await ensureLeaf(
      dir,
      'front-proxy-client',
      client('front-proxy-client'),
      proxyAuthority,
      options,
    ),
    nodes,
    serviceAccountKeyPem: ensureSigningKey(dir),
  };
  for (const name of options.nodeNames ?? []) {
    nodes[name] = await ensureNodePki(dir, name, { clock: options.clock, sans: options.nodeSans?.[name] });
  }
  return pki;
}

/** A kubelet's two certificates, from the CA in `dir`. */
export async function ensureNodePki(
  dir: string,
  node: string,
  options: { clock: Clock; sans?: readonly string[] },
): Promise<NodePki> {
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(node)) throw new Error(`not a node name: ${JSON.stringify(node)}`);
  const authority = await ensureAuthority(dir, options.clock);
  const folder = join(dir, 'nodes');
  makePrivateDirectory(folder);
  const subject = { commonName: `system:node:${node}`, organization: 'system:nodes' };
  return {
    client: await ensureLeaf(folder, node, { ...subject, usage: 'client', sans: [] }, authority, options),
    serving: await ensureLeaf(
      folder,
      `${node}-serving`,
      { ...subject, usage: 'server', sans: unique([node, 'localhost', '127.0.0.1', ...(options.sans ?? [])]) },
      authority,
      options,
    ),
  };
}

/** The kubeconfig of a user with a client certificate. */
export function renderKubeconfig(options: {
  server: string;
  caPem: string;
  user: string;
  credentials: KeyPair;
  cluster?: string;
}): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const cluster = options.cluster ?? 'sampan';
  return `apiVersion: v1
kind: Config
clusters:
- name: ${cluster}
  cluster:
    server: ${options.server}
    certificate-authority-data: ${base64(options.caPem)}
users:
- name: ${options.user}
  user:
    client-certificate-data: ${base64(options.credentials.certificatePem)}
    client-key-data: ${base64(options.credentials.keyPem)}
contexts:
- name: ${options.user}@${cluster}
  context:
    cluster: ${cluster}
    user: ${options.user}
current-context: ${options.user}@${cluster}
`;
}

/** Public key (SPKI PEM) of a private key in PEM. */
export function publicKeyPem(privateKeyPem: string): string {
  return createPublicKey(createPrivateKey(privateKeyPem)).export({ type: 'spki', format: 'pem' }) as string;
}

function client(commonName: string, organization?: string): Omit<CertificateSpec, 'days'> {
  return { commonName, ...(organization && { organization }), usage: 'client', sans: [] };
}

async function ensureAuthority(dir: string, clock: Clock, name: 'ca' | 'front-proxy-ca' = 'ca'): Promise<KeyPair> {
  const existing = readPair(dir, name);
  if (existing) {
    // A CA is never replaced silently: every certificate in the cluster hangs on it.
    const validTo = Date.parse(new X509Certificate(existing.certificatePem).validTo);
    if (validTo <= clock.now())
      throw new Error(`the CA ${join(dir, `${name}.crt`)} expired at ${new Date(validTo).toISOString()}`);
    return existing;
  }
  const { issueAuthority } = await import('./issue.ts');
  const made = await issueAuthority({
    commonName: name === 'ca' ? 'sampan-ca' : name,
    days: CA_DAYS,
    nowMs: clock.now(),
    serial: serial(),
  });
  writePair(dir, name, made);
  return made;
}

async function ensureLeaf(
  dir: string,
  name: string,
  spec: Omit<CertificateSpec, 'days'>,
  authority: KeyPair,
  options: { clock: Clock },
): Promise<KeyPair> {
  const existing = readPair(dir, name);
  if (existing && isFresh(existing.certificatePem, spec, authority, options.clock.now())) return existing;
  const { issueCertificate } = await import('./issue.ts');
  const made = await issueCertificate({ ...spec, days: LEAF_DAYS }, authority, options.clock.now(), serial());
  writePair(dir, name, made);
  return made;
}

function isFresh(pem: string, spec: Omit<CertificateSpec, 'days'>, authority: KeyPair, nowMs: number): boolean {
  const certificate = new X509Certificate(pem);
  if (Date.parse(certificate.validTo) - nowMs < RENEW_BEFORE_MS) return false;
  if (!certificate.checkIssued(new X509Certificate(authority.certificatePem))) return false;
  if (!certificate.subject.split('\n').includes(`CN=${spec.commonName}`)) return false;
  // A certificate keeps the names it once had: two starts with different addresses do not fight over the file.
  return spec.sans.every((san) =>
    isAddress(san)
      ? certificate.checkIP(san) !== undefined
      : certificate.checkHost(san, { subject: 'never' }) !== undefined,
  );
}

const isAddress = (san: string) => san.includes(':') || /^[0-9.]+$/.test(san);

function ensureSigningKey(dir: string): string {
  const path = join(dir, 'sa.key');
  if (existsSync(path)) return readFileSync(path, 'utf8');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  writeFileAtomic(path, pem, 0o600);
  return pem;
}

function readPair(dir: string, name: string): KeyPair | undefined {
  const certificate = join(dir, `${name}.crt`);
  const key = join(dir, `${name}.key`);
  if (!existsSync(certificate) || !existsSync(key)) return undefined;
  return { certificatePem: readFileSync(certificate, 'utf8'), keyPem: readFileSync(key, 'utf8') };
}

function writePair(dir: string, name: string, pair: KeyPair): void {
  // The key first: a crash between the two leaves no certificate, and the pair is issued again.
  writeFileAtomic(join(dir, `${name}.key`), pair.keyPem, 0o600);
  writeFileAtomic(join(dir, `${name}.crt`), pair.certificatePem, 0o600);
}

function makePrivateDirectory(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
}

const serial = () => randomBytes(16);

const unique = (values: readonly string[]) => [...new Set(values)];
