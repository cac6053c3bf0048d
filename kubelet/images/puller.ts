// Makes sure that a container's image is there, by its pull policy, with upstream's events and waiting reasons
// (pkg/kubelet/images). One pull per image and credentials at a time; failures back off from 10 s to 5 minutes.
import type { Container, Pod, Secret } from '../../api/types/core-v1.ts';
import type { AuthConfig } from '../../proto/cri-types.ts';
import type { Clock } from '../../lib/clock.ts';
import type { ImageUser } from '../containers/security.ts';
import type { ObjectLookup } from '../containers/environment.ts';
import type { CriClient } from '../cri/client.ts';
import type { PodEvents } from '../pods/events.ts';
import type { Waiting } from '../pods/container-status.ts';
import { BackoffTable } from '../pods/crash-backoff.ts';
import type { CredentialProviders } from './credential-providers.ts';
import { credentialsFor } from './credentials.ts';

export type ImageResult =
  | { kind: 'ready'; imageRef: string; user: ImageUser }
  /** `waiting` now; from `backOffAtMs` on `thenWaiting`; worth another try at `retryAtMs`. */
  | { kind: 'failed'; waiting: Waiting; thenWaiting: Waiting | undefined; failedAtMs: number; retryAtMs: number };

const PULL_TIMEOUT_MS = 60 * 60_000;
/** How long a missing image under policy Never, or an unreachable runtime, is left alone. */
const RECHECK_MS = 10_000;

export class ImagePuller {
  #cri: CriClient;
  #objects: ObjectLookup;
  #events: PodEvents;
  #clock: Clock;
  #providers: Pick<CredentialProviders, 'credentialsFor'> | undefined;
  #backoffs = new BackoffTable();
  #pulls = new Map<string, Promise<string>>();

  constructor(options: {
    cri: CriClient;
    objects: ObjectLookup;
    events: PodEvents;
    clock: Clock;
    /** Programs of the node that know credentials. */
    providers?: Pick<CredentialProviders, 'credentialsFor'> | undefined;
  }) {
    this.#providers = options.providers;
    this.#cri = options.cri;
    this.#objects = options.objects;
    this.#events = options.events;
    this.#clock = options.clock;
  }

  /** The image of an image volume; what the runtime calls it. Rejects with why it is not there. */
  async ensureVolume(pod: Pod, name: string, image: string, imagePullPolicy: string | undefined): Promise<string> {
    const container = { name, image, ...(imagePullPolicy && { imagePullPolicy }) };
    const result = await this.ensure(pod, container, new AbortController().signal);
    if (result.kind === 'ready') return result.imageRef;
    throw new Error(`${result.waiting.reason}: ${result.waiting.message ?? image}`);
  }

  /** Never rejects but by `signal`. */
  async ensure(pod: Pod, container: Container, signal: AbortSignal): Promise<ImageResult> {
    const image = container.image ?? '';
    try {
      if (image === '') throw new Error('the image reference is empty');
      const policy = container.imagePullPolicy ?? 'IfNotPresent';
      const present = await this.#status(image, signal);
      if (present && policy !== 'Always') {
        const text = `Container image "${image}" already present on machine and can be accessed by the pod`;
        this.#events.container(pod, container.name, 'Normal', 'Pulled', text);
        return present;
      }
      if (policy === 'Never') {
        const message = `Container image "${image}" is not present with pull policy of Never`;
        this.#events.container(pod, container.name, 'Warning', 'ErrImageNeverPull', message);
        this.#events.container(pod, container.name, 'Warning', 'Failed', 'Error: ErrImageNeverPull');
        return this.#failed({ reason: 'ErrImageNeverPull', message }, undefined, RECHECK_MS);
      }
      return await this.#pull(pod, container, image, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const message = `Failed to inspect image "${image}": ${(error as Error).message}`;
      this.#events.container(pod, container.name, 'Warning', 'InspectFailed', message);
      this.#events.container(pod, container.name, 'Warning', 'Failed', 'Error: ImageInspectError');
      return this.#failed({ reason: 'ImageInspectError', message }, undefined, RECHECK_MS);
    }
  }

  async #pull(pod: Pod, container: Container, image: string, signal: AbortSignal): Promise<ImageResult> {
    const key = `${pod.metadata.uid}/${image}`;
    this.#events.container(pod, container.name, 'Normal', 'Pulling', `Pulling image "${image}"`);
    const startedMs = this.#clock.monotonic();
    try {
      const auths = [
        ...credentialsFor(image, await this.#pullSecrets(pod)),
        ...((await this.#providers?.credentialsFor(image)) ?? []),
      ];
      await this.#pullWithAny(image, auths, signal);
      const ready = await this.#status(image, signal);
      if (!ready) throw new Error(`the runtime pulled "${image}" but does not have it`);
      const took = `${((this.#clock.monotonic() - startedMs) / 1000).toFixed(3).replace(/\.?0+$/, '')}s`;
      const text = `Successfully pulled image "${image}" in ${took} (${took} including waiting). Image size: ${ready.size} bytes.`;
      this.#events.container(pod, container.name, 'Normal', 'Pulled', text);
      this.#backoffs.forget(key);
      return ready;
    } catch (error) {
      if (signal.aborted) throw error;
      const message = (error as Error).message;
      const reason = message.startsWith('RegistryUnavailable') ? 'RegistryUnavailable' : 'ErrImagePull';
      this.#events.container(pod, container.name, 'Warning', 'Failed', `Failed to pull image "${image}": ${message}`);
      this.#events.container(pod, container.name, 'Warning', 'Failed', `Error: ${reason}`);
      const now = this.#clock.monotonic();
      this.#backoffs.countRestart(key, now, now);
      const backOff = {
        reason: 'ImagePullBackOff',
        message: `Back-off pulling image "${image}": ${reason}: ${message}`,
      };
      return this.#failed({ reason, message }, backOff, this.#backoffs.delayMs(key));
    }
  }

  /** The event that goes with the change from ErrImagePull to ImagePullBackOff. */
  announceBackOff(pod: Pod, container: Container): void {
    this.#events.container(pod, container.name, 'Normal', 'BackOff', `Back-off pulling image "${container.image}"`);
    this.#events.container(pod, container.name, 'Warning', 'Failed', 'Error: ImagePullBackOff');
  }

  #failed(waiting: Waiting, thenWaiting: Waiting | undefined, delayMs: number): ImageResult {
    const failedAtMs = this.#clock.monotonic();
    return { kind: 'failed', waiting, thenWaiting, failedAtMs, retryAtMs: failedAtMs + delayMs };
  }

  async #status(image: string, signal: AbortSignal) {
    const { image: found } = await this.#cri.call('ImageStatus', { image: { image } }, { signal });
    if (!found?.id) return undefined;
    const user: ImageUser = { uid: found.uid?.value, username: found.username ?? '' };
    return { kind: 'ready' as const, imageRef: found.id, user, size: found.size ?? 0 };
  }

  async #pullWithAny(image: string, auths: AuthConfig[], signal: AbortSignal): Promise<void> {
    let failure: unknown;
    for (const auth of auths.length > 0 ? auths : [undefined]) {
      try {
        await this.#pullOnce(image, auth, signal);
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** Two pods that want the same image wait for one pull; it goes on when one of them is deleted. */
  async #pullOnce(image: string, auth: AuthConfig | undefined, signal: AbortSignal): Promise<void> {
    const key = `${image} ${JSON.stringify(auth ?? null)}`;
    let pull = this.#pulls.get(key);
    if (!pull) {
      pull = this.#cri
        .call('PullImage', { image: { image }, auth: auth ?? null }, { timeoutMs: PULL_TIMEOUT_MS })
        .then((answer) => answer.imageRef ?? '')
        .finally(() => this.#pulls.delete(key));
      this.#pulls.set(key, pull);
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(signal.reason);
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      (pull as Promise<string>)
        .then(() => resolve(), reject)
        .finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  async #pullSecrets(pod: Pod): Promise<Secret[]> {
    const namespace = pod.metadata.namespace ?? '';
    const found: Secret[] = [];
    const missing: string[] = [];
    for (const { name } of pod.spec?.imagePullSecrets ?? []) {
      if (!name) continue;
      const secret = await this.#objects.secret(namespace, name).catch(() => undefined);
      if (secret) found.push(secret);
      else missing.push(name);
    }
    if (missing.length > 0) {
      const text = `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`;
      this.#events.pod(pod, 'Warning', 'FailedToRetrieveImagePullSecret', text);
    }
    return found;
  }
}
