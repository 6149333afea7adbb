/**
 * The list of all settings, read off the schema: for the table in docs/OPERATIONS.md, for the effective configuration,
 * and for suggestions after a typing error.
 */
import { z } from 'zod'
import { originKinds } from './origin-settings.ts'
import { schema } from './schema.ts'
import { formatValue, type SettingFacts, settingFacts } from './setting-fields.ts'

/** One setting. */
export interface SettingEntry extends SettingFacts {
  /** With dots; `NAME` stands for the name of an origin. */
  readonly key: string
  /** As it would be written, or in words. */
  readonly fallback: string
}

/** Every setting, in the order of the schema; those that only one kind of origin has say so in `what`. */
export function allSettings(): SettingEntry[] {
  return fieldsOf(schema).flatMap(([name, field]) => settingsBelow(name, field))
}

/** The keys that may stand in the mapping at `path`. */
export function keysAt(path: readonly PropertyKey[]): string[] {
  let at: z.core.$ZodType = schema
  for (const key of path) {
    const next = fieldsOf(at).find(([name]) => name === key || name === 'NAME')
    if (!next) return []
    at = next[1]
  }
  return fieldsOf(at).map(([name]) => name)
}

/** The facts about the setting at `path`; null where there is none. */
export function factsAt(path: readonly PropertyKey[]): SettingFacts | null {
  let at: z.core.$ZodType = schema
  for (const key of path) {
    const next = fieldsOf(at).find(([name]) => name === key || name === 'NAME')
    if (!next) return null
    at = next[1]
  }
  return settingFacts.get(at) ?? null
}

function settingsBelow(key: string, field: z.core.$ZodType): SettingEntry[] {
  const facts = settingFacts.get(field)
  if (facts) return [{ ...facts, key, fallback: facts.unset ?? formatValue(facts.kind, defaultOf(field)) }]
  return fieldsOf(field).flatMap(([name, below]) => settingsBelow(`${key}.${name}`, below))
}

/** The fields of a mapping, through whatever is wrapped around it; none of what is not one. */
function fieldsOf(outer: z.core.$ZodType): [string, z.core.$ZodType][] {
  const inner = unwrapped(outer)
  if (inner instanceof z.ZodRecord) return [['NAME', inner.valueType]]
  if (inner instanceof z.ZodDiscriminatedUnion) {
    const kinds = Object.values(originKinds).flatMap(kind => Object.entries(kind.shape))
    return [...new Map<string, z.core.$ZodType>(kinds)]
  }
  return inner instanceof z.ZodObject ? Object.entries(inner.shape) : []
}

function unwrapped(outer: z.core.$ZodType): z.core.$ZodType {
  if (outer instanceof z.ZodPipe) return unwrapped(outer.out)
  if (outer instanceof z.ZodOptional || outer instanceof z.ZodPrefault) return unwrapped(outer.unwrap())
  return outer
}

function defaultOf(field: z.core.$ZodType): unknown {
  return field instanceof z.ZodDefault ? field.def.defaultValue : undefined
}
