/**
 * Validates messages from the worker, so that a faulty worker cannot crash its supervisor.
 */
import { isErrorCode } from '../../base/errors.ts'
import { logLevels } from '../config/settings.ts'
import type { ToSupervisor } from './messages.ts'

type Kind = 'text' | 'texts' | 'textOrNull' | 'number' | 'truth' | 'numbers' | 'mounter' | 'errorCode' | 'level'

/** The fields of each message. */
const shapes: {
  readonly [T in ToSupervisor['type']]: Readonly<
    Record<Exclude<keyof Extract<ToSupervisor, { type: T }>, 'type'>, Kind>
  >
} = {
  hello: { version: 'text', protocol: 'number' },
  booted: { source: 'text', allowOther: 'truth', mounter: 'mounter', restarts: 'numbers', addons: 'texts' },
  prepared: { version: 'text', protocol: 'number' },
  'upgrade-request': { id: 'number', directory: 'textOrNull' },
  capacity: { capacityBytes: 'number' },
  failed: { code: 'errorCode', message: 'text' },
  negotiated: { negotiated: 'numbers' },
  ready: {},
  ended: { reason: 'textOrNull' },
  unmount: { id: 'number', force: 'truth' },
  'reload-request': { id: 'number' },
  pong: {},
  'log-level': { level: 'level' },
}

const checks: Readonly<Record<Kind, (value: unknown) => boolean>> = {
  text: value => typeof value === 'string',
  texts: value => Array.isArray(value) && value.every(each => typeof each === 'string'),
  textOrNull: value => value === null || typeof value === 'string',
  number: Number.isSafeInteger,
  truth: value => typeof value === 'boolean',
  numbers: value => isObject(value) && Object.values(value).every(each => Number.isFinite(each)),
  mounter: value => value === 'keeper' || value === 'server',
  level: value => logLevels.some(level => level === value),
  errorCode: value => typeof value === 'string' && isErrorCode(value),
}

/** The message, or null for what is none. */
export function validateMessage(value: unknown): ToSupervisor | null {
  if (!isObject(value) || typeof value.type !== 'string' || !Object.hasOwn(shapes, value.type)) return null
  const shape: Readonly<Record<string, Kind>> = shapes[value.type as ToSupervisor['type']]
  const isRight = Object.entries(shape).every(([field, kind]) => checks[kind](value[field]))
  return isRight ? (value as ToSupervisor) : null
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
