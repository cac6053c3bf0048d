// storage.k8s.io/v1 CSINode: the storage drivers of a node.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors, goStruct } from '../field-error.ts';
import { byteLength } from '../names.ts';
import type { CSINode, CSINodeDriver } from '../types/storage-v1.ts';
import { type Findings, IMMUTABLE, nonNegative, qualifiedName } from '../validation/checks.ts';
import { csiDriverName } from '../validation/csi.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { duplicate, invalid, required } = fieldErrors;

/** Longer ones of before 1.22 may stay. */
const MAX_NODE_ID = 192;
const MAX_LONG_NODE_ID = 256;

export const csiNode = defineKind<CSINode>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSINode',
  resource: 'csinodes',
  namespaced: false,
  schema: 'storage.v1.CSINode',
  columns: [NAME_COLUMN, 'Drivers:integer', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.drivers?.length ?? 0,
    age(object.metadata.creationTimestamp, nowMs),
  ],

  allowUnconditionalUpdate: false,
  validate: (object) => [...findings(object, MAX_NODE_ID)],
  validateUpdate(object, old) {
    const hadLong = (old.spec?.drivers ?? []).some((each) => byteLength(each.nodeID) > MAX_NODE_ID);
    const found = [...findings(object, hadLong ? MAX_LONG_NODE_ID : MAX_NODE_ID)];
    for (const before of old.spec?.drivers ?? []) {
      for (const driver of object.spec?.drivers ?? []) {
        if (driver.name === before.name && !semanticEqual(withoutCount(driver), withoutCount(before))) {
          found.push(invalid('spec.drivers', withoutCount(driver), IMMUTABLE));
        }
      }
    }
    return found;
  },
});

const withoutCount = (driver: CSINodeDriver) => ({
  ...goStruct(driver, { Name: '', NodeID: '', TopologyKeys: null, Allocatable: null }),
  Allocatable: null,
});

function* findings({ spec }: CSINode, maxNodeId: number): Findings {
  const names = new Set<string>();
  for (const [i, driver] of (spec?.drivers ?? []).entries()) {
    const field = `spec.drivers[${i}]`;
    const { name = '', nodeID = '', topologyKeys } = driver;
    yield* csiDriverName(name, `${field}.name`);
    if (nodeID === '') yield required(`${field}.nodeID`);
    if (byteLength(nodeID) > maxNodeId) {
      yield invalid(`${field}.nodeID`, nodeID, `must be ${maxNodeId} characters or less`);
    }
    yield* nonNegative(driver.allocatable?.count, `${field}.allocatable.count`);
    if (names.has(name)) yield duplicate(`${field}.name`, name);
    names.add(name);
    const keys = new Set<string>();
    for (const key of topologyKeys ?? []) {
      if (key === '') yield required(field);
      if (keys.has(key)) yield duplicate(field, key);
      keys.add(key);
      yield* qualifiedName(key, field);
    }
  }
}
