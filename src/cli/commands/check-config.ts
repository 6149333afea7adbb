/**
 * `parentfs check-config`: shows the effective configuration of a file, or everything that is wrong with it and with
 * the files that it names. It asks no daemon and no origin.
 */

import { resolve } from 'node:path'
import { silentLogger } from '../../base/logger.ts'
import { findOverlaps } from '../../daemon/config/check-overlap.ts'
import { checkSecrets } from '../../daemon/config/check-secrets.ts'
import { configure, ownSurroundings } from '../../daemon/config/configuration.ts'
import { ConfigurationError } from '../../daemon/config/configuration-error.ts'
import { readConfigurationFile } from '../../daemon/config/configuration-file.ts'
import { effectiveConfigText } from '../../daemon/config/effective-config.ts'
import { usageExitCode } from '../output/exit-codes.ts'
import { withoutErrno } from '../output/plain-errors.ts'
import { remark } from '../output/terminal-output.ts'

/** @returns the exit code: 0, or 2 when the file is not usable */
export async function checkConfig(path: string): Promise<number> {
  const file = resolve(path)
  try {
    const { document, settings } = await readConfigurationFile(file)
    const configuration = configure({ document, mountpoint: settings.mountpoint ?? '' }, ownSurroundings())
    const { wrong, odd } = await checkSecrets(configuration, silentLogger)
    const overlaps = settings.mountpoint === null ? [] : await findOverlaps(configuration)
    for (const line of [...wrong, ...overlaps, ...odd]) remark(`parentfs: ${withoutErrno(line)}`)
    if (wrong.length + overlaps.length > 0) return usageExitCode
    process.stdout.write(effectiveConfigText(document, configuration))
    return 0
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    for (const line of error.lines) remark(`parentfs: ${withoutErrno(line)}`)
    return usageExitCode
  }
}
