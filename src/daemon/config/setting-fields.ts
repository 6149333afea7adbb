/**
 * Kinds of setting values: how each is read, judged and shown. Messages go to the person who typed the value.
 *
 * Values carry no unit in their names, because they are called as the file calls them: sizes are bytes, durations
 * milliseconds, rates bytes a second, shares fractions of one.
 */
import { z } from 'zod'
import { messageOf } from '../../base/errors.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../base/sizes.ts'
import type { SecretSource } from '../../origin/http/secret.ts'
import { pathBytesMax, secretCommandRefreshMsDefault } from './limits.ts'

type MeasureKind = 'count' | 'size' | 'rate' | 'duration' | 'share'

export type SettingKind = MeasureKind | 'text' | 'yes-no'

/** A row of the table of settings in docs/OPERATIONS.md. */
export interface SettingFacts {
  readonly kind: SettingKind
  /** The values that may be written. */
  readonly range: string
  /** A reload applies it to a running mount. */
  readonly live: boolean
  readonly what: string
  /** The default in words, where it is none that could be written. */
  readonly unset?: string
}

/** The facts of every setting's schema. */
export const settingFacts = z.registry<SettingFacts>()

type Described = Pick<SettingFacts, 'live' | 'what' | 'unset'>

/** A schema that is a setting. */
export function setting<T extends z.ZodType>(schema: T, facts: SettingFacts): T {
  settingFacts.add(schema, facts)
  return schema
}

/** Bounds, both included. */
interface Bounds {
  readonly min: number
  readonly max: number
}

/** A number with a unit: its kind says how it is read and shown. */
function measure(kind: MeasureKind, bounds: Bounds, fallback: number, described: Described) {
  const range = `${formatValue(kind, bounds.min)} to ${formatValue(kind, bounds.max)}`
  const problem = (value: number, input: unknown) =>
    value >= bounds.min && value <= bounds.max ? null : `${shownAs(kind, input)} is out of range: give ${range}`
  return setting(measured(kind, problem).default(fallback), { kind, range, ...described })
}

/**
 * A schema that reads a number with a unit.
 * @param problem the complaint about a value, or null
 */
export function measured(kind: MeasureKind, problem: (value: number, input: unknown) => string | null) {
  return z.unknown().transform((input, ctx): number => {
    try {
      const value = readers[kind](input)
      const message = problem(value, input)
      if (message === null) return value
      ctx.addIssue({ code: 'custom', message })
    } catch (error) {
      ctx.addIssue({ code: 'custom', message: messageOf(error) })
    }
    return z.NEVER
  })
}

export function sizeField(bounds: Bounds, fallback: number, described: Described) {
  return measure('size', bounds, fallback, described)
}

export function rateField(bounds: Bounds, fallback: number, described: Described) {
  return measure('rate', bounds, fallback, described)
}

export function durationField(bounds: Bounds, fallback: number, described: Described) {
  return measure('duration', bounds, fallback, described)
}

export function shareField(bounds: Bounds, fallback: number, described: Described) {
  return measure('share', bounds, fallback, described)
}

export function countField(bounds: Bounds, fallback: number, described: Described) {
  return measure('count', bounds, fallback, described)
}

/** One of some words. */
export function choiceField<const T extends readonly [string, ...string[]]>(
  what: string,
  words: T,
  fallback: T[number],
  described: Described,
) {
  const schema = choice(what, words).default(fallback as never)
  return setting(schema, { kind: 'text', range: words.join(', '), ...described })
}

/** The same; null when it is not said. */
export function optionalChoiceField<const T extends readonly [string, ...string[]]>(
  what: string,
  words: T,
  described: Described & { readonly unset: string },
) {
  const schema = choice(what, words).nullable().default(null)
  return setting(schema, { kind: 'text', range: words.join(', '), ...described })
}

/** Some of some words, as a list; null when it is not said. */
export function choicesField<const T extends readonly [string, ...string[]]>(
  what: string,
  words: T,
  described: Described & { readonly unset: string },
) {
  const message = ({ input }: { readonly input?: unknown }) => `${what} ${shown(input)} is no list: write [${words[0]}]`
  const schema = z.array(choice(what, words), { error: message }).nullable().default(null)
  return setting(schema, { kind: 'text', range: `[${words.join(', ')}]`, ...described })
}

function choice<const T extends readonly [string, ...string[]]>(what: string, words: T) {
  return z.enum(words, {
    error: ({ input }) => `${what} ${shown(input)} is unknown: there is ${words.join(', ')}`,
  })
}

/** An absolute path; null when it is not said. */
export function pathField(described: Described & { readonly unset: string }, bytesMax = pathBytesMax) {
  const schema = z
    .string({ error: ({ input }) => `${shown(input)} is not a path` })
    .refine(text => /^\/[^\0]*$/.test(text), {
      error: ({ input }) => `${shown(input)} is not an absolute path: begin it with a slash`,
    })
    .refine(text => Buffer.byteLength(text) <= bytesMax, {
      error: ({ input }) => `${shown(input)} is longer than ${bytesMax} bytes`,
    })
  return setting(schema.nullable().default(null), { kind: 'text', range: 'an absolute path', ...described })
}

/** Yes, no, or null when it is not said. */
export function booleanField(described: Described & { readonly unset: string }) {
  const schema = z.boolean({ error: ({ input }) => `${shown(input)} is not true or false` })
  return setting(schema.nullable().default(null), { kind: 'yes-no', range: 'true, false', ...described })
}

/** The forms in which a secret may be written. */
const secretRange = '{file: PATH}, {env: NAME} or {command: [PROGRAM, ...], refresh: DURATION}'

/**
 * The source of a secret. A secret itself is refused: more people read the file than should know it, and it is copied.
 * No message repeats the value.
 */
export const secretSchema = z.unknown().transform((input, ctx): SecretSource => {
  const source = secretSourceOf(input)
  if (typeof source !== 'string') return source
  ctx.addIssue({ code: 'custom', message: source })
  return z.NEVER
})

/** The same, or plain text. */
export const textOrSecretSchema = z.unknown().transform((input, ctx): SecretSource | string => {
  if (typeof input === 'string') return input
  const source = secretSourceOf(input)
  if (typeof source !== 'string') return source
  ctx.addIssue({ code: 'custom', message: source })
  return z.NEVER
})

/** @returns the source, or what is wrong */
function secretSourceOf(input: unknown): SecretSource | string {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return `a secret is not written here, where backups and other readers find it: write ${secretRange}`
  }
  const { file, env, command, refresh, ...rest } = input as Record<string, unknown>
  const kinds = [file, env, command].filter(kind => kind !== undefined)
  if (kinds.length !== 1 || Object.keys(rest).length > 0)
    return `this is not one place of a secret: write ${secretRange}`
  if (refresh !== undefined && command === undefined) return 'refresh goes with command only: leave it out'
  if (file !== undefined) {
    return typeof file === 'string' && /^\/[^\0]*$/.test(file) ? { file } : 'the file of a secret is an absolute path'
  }
  if (env !== undefined) {
    return typeof env === 'string' && /^[A-Za-z_]\w*$/.test(env)
      ? { env }
      : 'env is the name of a variable, like IMAGES_TOKEN'
  }
  const isProgram = Array.isArray(command) && command.every(word => typeof word === 'string' && !word.includes('\0'))
  if (!isProgram || !/^\//.test(command[0] ?? '')) {
    return 'command is a list: the absolute path of a program, and its arguments; no shell reads it'
  }
  try {
    const refreshMs = refresh === undefined ? secretCommandRefreshMsDefault : parseDuration(textOf(refresh))
    if (refreshMs >= 1000) return { command: command as [string, ...string[]], refresh: refreshMs }
  } catch {}
  return 'refresh is a duration of at least 1s, like 5m'
}

/** A secret as a setting. */
export function secretField(described: Described & { readonly unset: string }) {
  return setting(secretSchema.optional(), { kind: 'text', range: secretRange, ...described })
}

/** A value as a message shows it. */
export function shown(input: unknown): string {
  if (typeof input === 'object' && input !== null) return Array.isArray(input) ? 'a list' : 'a mapping'
  const text = JSON.stringify(input) ?? 'nothing'
  return text.length > 80 ? `${text.slice(0, 80)}...` : text
}

/** The same, and a size that the command line has read already with its unit. */
function shownAs(kind: SettingKind, input: unknown): string {
  return kind === 'size' && typeof input === 'number' ? formatValue(kind, input) : shown(input)
}

/** A value as the file would say it: what is read back is the same. */
export function formatValue(kind: SettingKind, value: unknown): string {
  if (typeof value !== 'number') return String(value)
  if (kind === 'size') return formatSize(value)
  if (kind === 'rate') return `${formatSize(value)}/s`
  if (kind === 'duration') return formatDuration(value)
  if (kind === 'share') return `${Number((value * 100).toPrecision(12))}%`
  return String(value)
}

const readers: Readonly<Record<MeasureKind, (input: unknown) => number>> = {
  size: input => parseSize(textOf(input)),
  rate: input => parseSize(textOf(input).replace(/\s*\/\s*s$/, '')),
  duration: input => parseDuration(textOf(input)),
  share: parseShare,
  count: parseCount,
}

function textOf(input: unknown): string {
  if (typeof input === 'string' || typeof input === 'number') return String(input)
  throw new Error(`${shown(input)} is not a number with a unit`)
}

function parseShare(input: unknown): number {
  const match = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(textOf(input).trim())
  if (!match) throw new Error(`${shown(input)} is not a share: write it like 95% or 0.95`)
  return Number(match[1]) / (match[2] ? 100 : 1)
}

function parseCount(input: unknown): number {
  if (!Number.isSafeInteger(input)) throw new Error(`${shown(input)} is not a whole number`)
  return input as number
}
