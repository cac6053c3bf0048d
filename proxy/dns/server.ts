// The cluster's DNS server on the node's pod gateway: answers for the cluster's domain from the informers, hands every other
// question to the host's resolvers. UDP and TCP (RFC 1035, RFC 7766).
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { createServer, type Server, type Socket as TcpSocket } from 'node:net';
import {
  type Answer as PacketAnswer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  TRUNCATED_RESPONSE,
} from 'dns-packet';
import type { Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import type { ComponentContext } from '../../client/port.ts';
import { refs } from '../../client/refs.ts';
import { aborted } from '../../lib/abort.ts';
import { serviceOfSlice } from '../rules.ts';
import { Forwarder } from './forward.ts';
import { answer, type ClusterView } from './records.ts';

export interface DnsOptions extends Omit<ComponentContext, 'events'> {
  /** Where pods ask: the gateway of the pod bridge. */
  address: string;
  port?: number;
  clusterDomain: string;
  /** Addresses of the host's resolvers. */
  upstreams: readonly string[];
}

const REFUSED = 5;
const NXDOMAIN = 3;
const SERVFAIL = 2;
const FORMERR = 1;
/** What a client without EDNS can take. */
const PLAIN_UDP_BYTES = 512;
/** Questions that wait for upstream at once; more are answered with SERVFAIL, and the client asks again. */
const MAX_FORWARDED = 512;
const MAX_TCP_CLIENTS = 128;
const TCP_IDLE_MS = 10_000;

/** Answers once it resolves to `listening`; runs until `signal` aborts. */
export async function runDns(options: DnsOptions, signal: AbortSignal): Promise<void> {
  const { address, clusterDomain, log } = options;
  const port = options.port ?? 53;
  const view = viewOf(options);
  const forwarder = new Forwarder(options.upstreams, MAX_FORWARDED);
  const udp = createSocket('udp4');
  const tcp = createServer({ noDelay: true });
  tcp.maxConnections = MAX_TCP_CLIENTS;

  const respond = async (message: Buffer): Promise<{ packet: Packet; query: Packet } | undefined> => {
    let query: Packet;
    try {
      query = decode(message);
    } catch {
      return undefined;
    }
    if (query.type !== 'query') return undefined;
    const [question] = query.questions ?? [];
    const base = { id: query.id, type: 'response' as const, questions: query.questions };
    const flags = (query.flags ?? 0) & 0x0100;
    if (!question || query.questions?.length !== 1) return { query, packet: { ...base, flags: flags | FORMERR } };
    const found = answer({ name: question.name.replace(/\.$/, ''), type: question.type }, clusterDomain, view);
    if (found.kind === 'elsewhere') {
      if (options.upstreams.length === 0) return { query, packet: { ...base, flags: flags | REFUSED } };
      const forwarded = await forwarder.ask(message);
      if (!forwarded) return { query, packet: { ...base, flags: flags | RECURSION_AVAILABLE | SERVFAIL } };
      return { query, packet: { ...forwarded, id: query.id } };
    }
    const own = flags | AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE;
    if (found.kind === 'nxdomain')
      return { query, packet: { ...base, flags: own | NXDOMAIN, authorities: [startOfAuthority(clusterDomain)] } };
    const isEmpty = found.records.length === 0;
    return {
      query,
      packet: {
        ...base,
        flags: own,
        answers: found.records as PacketAnswer[],
        additionals: found.additionals as PacketAnswer[],
        ...(isEmpty && { authorities: [startOfAuthority(clusterDomain)] }),
      },
    };
  };

  udp.on('message', (message: Buffer, from: RemoteInfo) => {
    void respond(message)
      .then((result) => {
        if (!result) return;
        const bytes = encode(result.packet);
        const limit = udpLimitOf(result.query);
        udp.send(bytes.length <= limit ? bytes : truncated(result.packet), from.port, from.address, () => {});
      })
      .catch((error: unknown) => log.warn({ err: error }, 'a DNS question was not answered'));
  });
  tcp.on('connection', (socket) => serveTcp(socket, respond));
  await listening(udp, tcp, address, port);
  log.info({ address, port, upstreams: options.upstreams }, 'cluster DNS answers');
  udp.on('error', (error) => log.warn({ err: error }, 'DNS socket'));
  await aborted(signal);
  forwarder.close();
  await Promise.all([
    new Promise<void>((done) => udp.close(() => done())),
    new Promise<void>((done) => tcp.close(() => done())),
  ]);
}

function listening(udp: Socket, tcp: Server, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    udp.once('error', reject);
    tcp.once('error', reject);
    udp.bind(port, address, () => tcp.listen(port, address, () => resolve()));
  });
}

/** Each message is preceded by its length, two bytes. Answers keep the order of questions. */
function serveTcp(socket: TcpSocket, respond: (message: Buffer) => Promise<{ packet: Packet } | undefined>): void {
  let buffered = Buffer.alloc(0);
  let working = Promise.resolve();
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk]);
    while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
      const length = buffered.readUInt16BE(0);
      const message = buffered.subarray(2, 2 + length);
      buffered = buffered.subarray(2 + length);
      working = working.then(async () => {
        const result = await respond(Buffer.from(message)).catch(() => undefined);
        if (!result) return void socket.destroy();
        const bytes = encode(result.packet);
        const head = Buffer.alloc(2);
        head.writeUInt16BE(bytes.length);
        socket.write(Buffer.concat([head, bytes]));
      });
    }
  });
}

function udpLimitOf(query: Packet): number {
  const edns = query.additionals?.find((each) => each.type === 'OPT');
  return edns && 'udpPayloadSize' in edns ? Math.max(PLAIN_UDP_BYTES, edns.udpPayloadSize) : PLAIN_UDP_BYTES;
}

function truncated(packet: Packet): Buffer {
  return encode({
    ...packet,
    flags: (packet.flags ?? 0) | TRUNCATED_RESPONSE,
    answers: [],
    additionals: [],
    authorities: [],
  });
}

function startOfAuthority(domain: string): PacketAnswer {
  return {
    type: 'SOA',
    name: domain,
    ttl: 5,
    data: {
      mname: `ns.dns.${domain}`,
      rname: `hostmaster.${domain}`,
      serial: 1,
      refresh: 7200,
      retry: 1800,
      expire: 86_400,
      minimum: 5,
    },
  };
}

function viewOf({ informers }: DnsOptions): ClusterView {
  const byName = informers.of<Service>(refs.services);
  const slices = informers.of<EndpointSlice>(refs.endpointSlices);
  const known = informers.of(refs.namespaces);
  byName.addIndex('ip', (service) => [service.spec?.clusterIP ?? '']);
  slices.addIndex('service', (slice) => [serviceOfSlice(slice) ?? '']);
  return {
    service: (namespace, name) => byName.get(`${namespace}/${name}`),
    slices: (namespace, service) => slices.byIndex('service', `${namespace}/${service}`),
    serviceByIp: (ip) => byName.byIndex('ip', ip)[0],
    hasNamespace: (name) => known.get(name) !== undefined,
  };
}
