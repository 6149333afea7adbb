/**
 * `parentfs check-config`: what a configuration file puts into effect, or everything that is wrong with it, and with the files
 * that it names. Asks nobody.
 */

import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { configure } from '../daemon/configuration.ts'
import { ConfigurationError } from '../daemon/configuration-error.ts'
import { readConfigurationFile } from '../daemon/configuration-file.ts'
import { effectiveText } from '../daemon/effective.ts'
import { lookAtNamedFiles } from '../daemon/named-files.ts'
import { silentLogger } from '../logger.ts'
import { usageExitCode } from './exit-codes.ts'
import { remark } from './output.ts'

/** @returns the exit code: 0, or 2 when the file is not usable */
export async function checkConfig(path: string): Promise<number> {
  const file = resolve(path)
  try {
    const { document, settings } = await readConfigurationFile(file)
    const surroundings = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, home: homedir() }
    const configuration = configure({ document, mountpoint: settings.mountpoint ?? '' }, surroundings)
    const { wrong, odd } = await lookAtNamedFiles(configuration, silentLogger)
    for (const line of [...wrong, ...odd]) remark(`parentfs: ${line}`)
    if (wrong.length > 0) return usageExitCode
    process.stdout.write(effectiveText(document, configuration))
    return 0
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    for (const line of error.lines) remark(`parentfs: ${line}`)
    return usageExitCode
  }
}
