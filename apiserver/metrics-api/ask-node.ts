// A kubelet's /stats/summary.
import { type KubeletAccess, kubeletOfNode } from '../proxy/kubelets.ts';
import { dialError, type Outbound } from '../proxy/outbound.ts';
import type { Summary } from './samples.ts';

const ASK_TIMEOUT_MS = 10_000;

/** Throws when the kubelet does not answer. */
export async function askNode(access: KubeletAccess, outbound: Outbound, node: string): Promise<Summary> {
  const kubelet = await kubeletOfNode(access, node);
  const path = '/stats/summary?only_cpu_and_memory=true';
  return new Promise((resolve, reject) => {
    const headers = { host: `${kubelet.host}:${kubelet.port}` };
    const request = outbound.request({ ...kubelet, path, method: 'GET', headers });
    const timer = setTimeout(() => request.destroy(new Error('timed out')), ASK_TIMEOUT_MS);
    request.on('close', () => clearTimeout(timer));
    request.on('error', (error) => reject(new Error(dialError(kubelet, error))));
    request.on('response', (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        if (answer.statusCode !== 200) return reject(new Error(`status ${answer.statusCode}: ${text.slice(0, 200)}`));
        try {
          resolve(JSON.parse(text) as Summary);
        } catch (error) {
          reject(error as Error);
        }
      });
    });
    request.end();
  });
}
