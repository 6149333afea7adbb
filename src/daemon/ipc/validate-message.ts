/**
 * Validates messages between supervisor and worker, so that a faulty process cannot crash the other one.
 *
 * A message of an unknown type comes from a newer version. It is ignored and told once, as is one whose fields are not
 * as agreed. Unknown fields are not looked at.
 */
import { isErrorCode } from '../../base/errors.ts'
import { logLevels } from '../config/settings.ts'
import { ignoredTypesMax, typeCharactersMax } from './limits.ts'
import type { ToSupervisor, ToWorker } from './messages.ts'

type Check = (value: unknown) => boolean

/** The fields of each message. */
type Shapes<M extends { readonly type: string }> = {
  readonly [T in M['type']]: Readonly<Record<Exclude<keyof Extract<M, { type: T }>, 'type'>, Check>>
}

/** Hears of a message that is not passed on, once for each type. */
export type OnIgnored = (type: string, why: 'unknown' | 'malformed') => void

const text: Check = value => typeof value === 'string'
const truth: Check = value => typeof value === 'boolean'
const count: Check = Number.isSafeInteger
const texts = listOf(text)
const numbers: Check = value => isObject(value) && Object.values(value).every(each => Number.isFinite(each))
const errorCode: Check = value => typeof value === 'string' && isErrorCode(value)

const cacheMove = fields({
  ...{ from: text, to: text, isNew: truth, isClean: truth, passed: texts },
  earlier: orAbsent(texts),
})
const log = fields({ level: text, pretty: truth, file: orNull(text) })
const settings = fields({
  ...{ configFile: orNull(text), mountpoint: text, cacheDirectory: orNull(text), source: orNull(text) },
  ...{ log, document: isObject, move: orAbsent(orNull(cacheMove)) },
  leaving: orAbsent(texts),
})
const takeovers = fields({ count, lastPauseMs: count, longestPauseMs: count, refusedUpgrade: orNull(text) })
const holder = fields({ pid: orNull(count), command: text })
const refused = fields({ code: errorCode, message: text, holders: listOf(holder) })

const librbdPlace = fields({ socket: text, directory: text, mode: count, group: orNull(count) })

const toSupervisor: Shapes<ToSupervisor> = {
  hello: { version: text, protocol: count },
  booted: {
    ...{ source: text, allowOther: truth, mounter: value => value === 'keeper' || value === 'server' },
    ...{ restarts: numbers, addons: texts, librbd: orAbsent(orNull(librbdPlace)) },
  },
  prepared: { version: text, protocol: count },
  'upgrade-request': { id: count, directory: orNull(text) },
  'move-request': { id: count, from: text, directory: text, passed: texts },
  'move-cleaned': { from: text },
  'origin-leaving': { directory: text },
  'origin-removed': { directory: text },
  capacity: { capacityBytes: count },
  failed: { code: errorCode, message: text },
  negotiated: { negotiated: numbers },
  'view-negotiated': { negotiated: numbers },
  'librbd-ended': {},
  ready: {},
  ended: { reason: orNull(text) },
  unmount: { id: count, force: truth },
  'reload-request': { id: count },
  pong: {},
  'log-level': { level: value => logLevels.some(level => level === value), document: orAbsent(isObject) },
}

const toWorker: Shapes<ToWorker> = {
  // Earlier supervisors say no indexDoubt, and not who waits.
  boot: {
    ...{ settings, keeperPid: count, bypass: orNull(text), indexDoubt: orAbsent(orNull(text)) },
    isAwaited: orAbsent(truth),
  },
  prepare: { settings, isAwaited: orAbsent(truth) },
  history: { takeovers, kept: truth, librbdKept: orAbsent(truth) },
  'upgrade-answer': {
    id: count,
    outcome: value =>
      fields({ version: text, refusal: isNull })(value) ||
      fields({ version: isNull, refusal: fields({ code: errorCode, message: text }) })(value),
  },
  mounted: {
    negotiated: orNull(numbers),
    judgement: fields({ suspects: texts, poisoned: texts }),
    kept: orAbsent(truth), // Nor what is kept.
    librbd: orAbsent(orNull(fields({ negotiated: orNull(numbers), kept: orAbsent(truth) }))),
  },
  'librbd-end': {},
  mount: {},
  'unmount-answer': { id: count, refusal: orNull(refused) },
  reload: { id: orNull(count), document: isObject },
  'reload-failed': { id: count, code: errorCode, message: text },
  ping: {},
  stop: {},
}

/** @returns a function that gives the message, or null for what is none */
export function readerOfWorker(onIgnored: OnIgnored): (value: unknown) => ToSupervisor | null {
  return readerOf(toSupervisor, onIgnored)
}

/** @returns a function that gives the message, or null for what is none */
export function readerOfSupervisor(onIgnored: OnIgnored): (value: unknown) => ToWorker | null {
  return readerOf(toWorker, onIgnored)
}

function readerOf<M extends { readonly type: string }>(shapes: Shapes<M>, onIgnored: OnIgnored) {
  const told = new Set<string>()
  return (value: unknown): M | null => {
    const type = isObject(value) && typeof value.type === 'string' ? value.type : ''
    const shape = Object.hasOwn(shapes, type) ? shapes[type as M['type']] : null
    if (shape && fields(shape)(value)) return value as M
    const name = type.slice(0, typeCharactersMax)
    if (!told.has(name) && told.size < ignoredTypesMax) {
      told.add(name)
      onIgnored(name, shape ? 'malformed' : 'unknown')
    }
    return null
  }
}

/** An object with these fields, and perhaps others. */
function fields(shape: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(shape)
  return value => isObject(value) && checks.every(([name, check]) => check(value[name]))
}

function listOf(check: Check): Check {
  return value => Array.isArray(value) && value.every(check)
}

function orNull(check: Check): Check {
  return value => value === null || check(value)
}

function orAbsent(check: Check): Check {
  return value => value === undefined || check(value)
}

function isNull(value: unknown): boolean {
  return value === null
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
