// YAML 1.2 to JSON values, for configuration files of the host. Objects of the API are read by api/yaml.ts.
import { parse } from 'yaml';

/** One document; throws on what is malformed. JSON is YAML. */
export const parseYamlText = (text: string): unknown => parse(text, { maxAliasCount: 100 }) as unknown;
