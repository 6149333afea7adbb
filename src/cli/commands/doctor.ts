/**
 * `parentfs doctor`: looks at the host, the cache disk and the origins, and says what to do about each finding.
 */
import { resolve } from 'node:path'
import { configure, ownSurroundings } from '../../daemon/config/configuration.ts'
import { readConfigurationFile } from '../../daemon/config/configuration-file.ts'
import type { ConfigurationDocument } from '../../daemon/config/settings.ts'
import { failedExitCode } from '../output/exit-codes.ts'
import { newTable, trimmed } from '../output/tables.ts'
import { checkDisk } from './check-disk.ts'
import { checkHost } from './check-host.ts'
import { checkOrigin } from './check-origin.ts'
import type { Finding } from './finding.ts'

export interface DoctorArguments {
  /** Null: none is asked, or those of `config`. */
  readonly origin: string | null
  readonly config: string | null
  readonly cacheDir: string | null
  readonly json: boolean
}

/**
 * @returns the exit code: 1 when a finding stops a mount or costs bytes
 * @throws ConfigurationError when the file or the URL cannot be understood
 */
export async function doctor({ origin, config, cacheDir, json }: DoctorArguments): Promise<number> {
  const { document, mountpoint } = await documentOf(origin, config)
  const surroundings = ownSurroundings()
  const configuration = document && configure({ document, mountpoint: '' }, surroundings)
  const fallback = surroundings.uid === 0 ? '/var/cache/parentfs' : `${surroundings.home}/.cache/parentfs`
  const directory = cacheDir ?? configuration?.cache.directory ?? fallback
  const findings: Finding[] = [...checkHost(mountpoint), ...(await checkDisk(resolve(directory)))]
  // One after the other: their latencies are measured.
  for (const place of configuration?.places ?? []) findings.push(...(await checkOrigin(place)))
  console.log(json ? JSON.stringify(findings, null, 2) : tableOf(findings))
  return findings.some(({ judgement }) => judgement === 'bad') ? failedExitCode : 0
}

interface Asked {
  /** Null: about the host alone. */
  readonly document: ConfigurationDocument | null
  readonly mountpoint: string | null
}

async function documentOf(origin: string | null, config: string | null): Promise<Asked> {
  if (config === null) return { document: origin === null ? null : { origin: { url: origin } }, mountpoint: null }
  const { document, settings } = await readConfigurationFile(resolve(config))
  return { document, mountpoint: settings.mountpoint }
}

function tableOf(findings: readonly Finding[]): string {
  const table = newTable(['CHECK', '', 'FOUND'])
  for (const { subject, judgement, found, remedy } of findings) {
    table.push([subject, judgement, found])
    if (remedy !== '') table.push(['', '', `-> ${remedy}`])
  }
  return trimmed(table.toString())
}
