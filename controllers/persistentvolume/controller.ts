// Binds claims to volumes, makes local volumes, reclaims what is released. One queue for both sides: keys are `claim/ns/name` and
// `volume/name`; a claim that finds nothing is woken by any change of volumes or classes.
import { node as nodeKind } from '../../api/kinds/node.ts';
import { persistentVolume as volumeKind } from '../../api/kinds/persistent-volume.ts';
import { persistentVolumeClaim as claimKind } from '../../api/kinds/persistent-volume-claim.ts';
import { storageClass as classKind } from '../../api/kinds/storage-class.ts';
import { keyOf } from '../../api/object.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim } from '../../api/types/core-v1.ts';
import type { StorageClass } from '../../api/types/storage-v1.ts';
import { classOfClaim, volumeAnnotations } from '../../api/volume-rules.ts';
import { createWorkQueue, isAlreadyExists, isNotFound, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { bindClaim, expandClaim } from './bind.ts';
import { type ClaimPlan, defaultClassOf, LOCAL_PROVISIONER, planClaim, planVolume } from './plan.ts';

export function runPersistentVolumeController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('persistentvolume-controller') ?? context.events;
  const log = context.log.child({ controller: 'persistentvolume' });
  const queue = createWorkQueue({ clock, random });
  const claims = informers.of<PersistentVolumeClaim>(claimKind);
  const volumes = informers.of<PersistentVolume>(volumeKind);
  const classes = informers.of<StorageClass>(classKind);
  const nodes = informers.of<Node>(nodeKind);
  /** What was last said of a claim, so that it is said once. */
  const said = new Map<string, string>();

  const claimKey = (claim: PersistentVolumeClaim) => `claim/${keyOf(claim)}`;
  const volumeKey = (volume: PersistentVolume) => `volume/${volume.metadata.name}`;
  const isWaiting = (claim: PersistentVolumeClaim) => claim.status?.phase !== 'Bound';
  const wakeWaiting = () => {
    for (const claim of claims.list()) if (isWaiting(claim)) queue.add(claimKey(claim));
  };
  claims.addIndex('volume', (claim) => (claim.spec?.volumeName ? [claim.spec.volumeName] : []));
  const claimChanged = (claim: PersistentVolumeClaim) => {
    queue.add(claimKey(claim));
    if (claim.spec?.volumeName) queue.add(`volume/${claim.spec.volumeName}`);
  };
  claims.addHandler({
    onAdd: claimChanged,
    onUpdate: claimChanged,
    onDelete(claim) {
      said.delete(claimKey(claim));
      claimChanged(claim);
    },
  });
  const volumeChanged = (volume: PersistentVolume) => {
    queue.add(volumeKey(volume));
    const ref = volume.spec?.claimRef;
    if (ref) queue.add(`claim/${ref.namespace}/${ref.name}`);
    else wakeWaiting();
    for (const claim of claims.byIndex('volume', volume.metadata.name ?? '')) queue.add(claimKey(claim));
  };
  volumes.addHandler({ onAdd: volumeChanged, onUpdate: volumeChanged, onDelete: volumeChanged });
  classes.addHandler({ onAdd: wakeWaiting, onUpdate: wakeWaiting });
  nodes.addHandler({ onAdd: wakeWaiting });

  async function reconcile(key: string): Promise<void> {
    const [kind, rest] = [key.slice(0, key.indexOf('/')), key.slice(key.indexOf('/') + 1)];
    if (kind === 'claim') await reconcileClaim(rest);
    else await reconcileVolume(rest);
  }

  async function reconcileClaim(key: string): Promise<void> {
    const claim = claims.get(key);
    if (!claim) return;
    const storageClass = classes.get(classOfClaim(claim));
    const plan = planClaim({
      claim,
      named: volumes.get(claim.spec?.volumeName ?? ''),
      volumes: volumes.list(),
      storageClass,
      defaultClass: defaultClassOf(classes.list()),
      node: nodeFor(claim, storageClass),
    });
    await carryOut(claim, plan);
  }

  async function carryOut(claim: PersistentVolumeClaim, plan: ClaimPlan): Promise<void> {
    const { namespace } = claim.metadata;
    const resource = client.resource<PersistentVolumeClaim>(claimKind, namespace);
    switch (plan.kind) {
      case 'none':
        return;
      case 'takeDefaultClass':
        await resource.update({ ...claim, spec: { ...claim.spec, storageClassName: plan.name } });
        return;
      case 'bind':
        return bindClaim(client, claim, plan.volume);
      case 'expand':
        await expandClaim(client, claim, plan.volume);
        events.event(claim, 'Normal', 'FileSystemResizeSuccessful', 'MountVolume.NodeExpandVolume succeeded');
        return;
      case 'provision':
        return provision(claim, plan.volume);
      case 'external': {
        say(claim, plan.type, plan.reason, plan.message);
        const { provisioner, betaProvisioner } = volumeAnnotations;
        const has = claim.metadata.annotations ?? {};
        if (has[provisioner] === plan.provisioner && has[betaProvisioner] === plan.provisioner) return;
        const annotations = { ...has, [provisioner]: plan.provisioner, [betaProvisioner]: plan.provisioner };
        await resource.update({ ...claim, metadata: { ...claim.metadata, annotations } });
        return;
      }
      case 'pending':
        if (plan.reason) say(claim, plan.type ?? 'Normal', plan.reason, plan.message ?? '');
        return;
      case 'lost':
        say(claim, plan.type, plan.reason, plan.message);
        await resource.update({ ...claim, status: { ...claim.status, phase: 'Lost' } }, { subresource: 'status' });
    }
  }

  async function provision(claim: PersistentVolumeClaim, volume: PersistentVolume): Promise<void> {
    try {
      await client.resource<PersistentVolume>(volumeKind).create(volume);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      return;
    }
    const text = `Successfully provisioned volume ${volume.metadata.name} using ${LOCAL_PROVISIONER}`;
    events.event(claim, 'Normal', 'ProvisioningSucceeded', text);
  }

  /** The chosen node; for a class that binds at once, the first that there is. */
  function nodeFor(claim: PersistentVolumeClaim, storageClass: StorageClass | undefined): Node | undefined {
    if (storageClass?.provisioner !== LOCAL_PROVISIONER) return undefined;
    const selected = claim.metadata.annotations?.[volumeAnnotations.selectedNode];
    if (selected !== undefined) return nodes.get(selected);
    const usable = nodes.list().filter((each) => !each.spec?.unschedulable);
    return usable.sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))[0];
  }

  function say(claim: PersistentVolumeClaim, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const text = `${reason} ${message}`;
    if (said.get(claimKey(claim)) === text) return;
    said.set(claimKey(claim), text);
    events.event(claim, type, reason, message);
  }

  async function reconcileVolume(name: string): Promise<void> {
    const volume = volumes.get(name);
    if (!volume) return;
    const ref = volume.spec?.claimRef;
    const claim = ref?.uid ? await claimOf(ref.namespace ?? '', ref.name ?? '', ref.uid) : undefined;
    const plan = planVolume(volume, claim);
    const resource = client.resource<PersistentVolume>(volumeKind);
    if (plan.kind === 'phase') {
      await resource.update({ ...volume, status: { ...volume.status, phase: plan.phase } }, { subresource: 'status' });
    } else if (plan.kind === 'failed') {
      const status = { ...volume.status, phase: 'Failed', message: plan.message };
      await resource.update({ ...volume, status }, { subresource: 'status' });
      events.event(volume, plan.type, plan.reason, plan.message);
    } else if (plan.kind === 'delete') {
      try {
        await resource.delete(name, { preconditions: { uid: volume.metadata.uid } });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  /** A volume is never released on the word of a mirror: what the mirror does not show is read. */
  async function claimOf(namespace: string, name: string, uid: string): Promise<PersistentVolumeClaim | undefined> {
    const known = claims.get(`${namespace}/${name}`);
    if (known?.metadata.uid === uid) return known;
    try {
      return await client.resource<PersistentVolumeClaim>(claimKind, namespace).get(name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  return runController(
    { name: 'persistentvolume', queue, reconcile, workers: 1, informers: [claims, volumes, classes, nodes], log },
    signal,
  );
}
