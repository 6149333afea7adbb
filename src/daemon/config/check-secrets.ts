/**
 * The files that a configuration names, looked at as a mount would: secrets and certificates.
 */
import { messageOf } from '../../base/errors.ts'
import type { LeveledLogger } from '../../base/logger.ts'
import { Secret, type SecretSource } from '../../origin/http/secret.ts'
import type { Configuration } from './configuration.ts'
import { checkNbdFiles } from './nbd-settings.ts'
import { originOptionsOf } from './origin-settings.ts'
import { checkTracingFiles } from './tracing-settings.ts'
import { checkWebFiles } from './web-settings.ts'

/** Errors keep a mount, or its reads, from working; warnings do not. One sentence each. */
export interface SecretsCheck {
  readonly wrong: readonly string[]
  readonly odd: readonly string[]
}

/**
 * No program that says a secret is started, and what is in the environment of a daemon is not known here.
 * @param silent what is odd is taken from it
 */
export async function checkSecrets(
  { places, tracing, web }: Configuration,
  silent: LeveledLogger,
): Promise<SecretsCheck> {
  const [wrong, odd]: [string[], string[]] = [[], []]
  const logger = { ...silent, warn: (_facts: object, message: string) => void odd.push(message) }
  const look = async (key: string, file: () => Promise<unknown>) => {
    try {
      await file()
    } catch (error) {
      // The secret of another user, whose daemon can read it.
      const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException
      const list = code === 'EACCES' ? odd : wrong
      list.push(`${key}: ${messageOf(error)}`)
    }
  }
  if (web.listen !== null) await look('web', () => checkWebFiles(web, logger))
  if (tracing.otlp !== null) await look('tracing', () => checkTracingFiles(tracing, logger))
  for (const { directory, settings } of places) {
    const key = directory === null ? 'origin' : `origins.${directory}`
    try {
      originOptionsOf(settings, logger)
    } catch (error) {
      wrong.push(`${key}: ${messageOf(error)}`)
    }
    const looks = secretFilesIn(settings).map(source => () => new Secret(source, { logger }).value())
    for (const file of [...looks, ...(settings.kind === 'nbd' ? [() => checkNbdFiles(settings, logger)] : [])]) {
      await look(key, file)
    }
  }
  return { wrong, odd }
}

/** Values that are `{file: PATH}`, wherever a kind of origin has them. */
function secretFilesIn(value: unknown): SecretSource[] {
  if (typeof value !== 'object' || value === null) return []
  const { file } = value as { readonly file?: unknown }
  if (typeof file === 'string') return [{ file }]
  return Object.values(value).flatMap(secretFilesIn)
}
