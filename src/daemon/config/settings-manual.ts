/**
 * Every setting as scdoc has lists of definitions: the body of the manual page of the configuration file.
 * Source: scdoc(5).
 */
import { allSettings } from './settings-list.ts'

/** The placeholder of the settings in the manual page. */
export const settingsPlaceholder = '@SETTINGS@'

/** The page with the settings in it. */
export function withSettings(page: string): string {
  const entries = allSettings().map(({ key, what, range, fallback, live }) => {
    const facts = [`Default: ${fallback}.`, `Range: ${range}.`, live ? 'Can be changed live.' : 'Needs a new mount.']
    return `*${plain(key)}*\n\t${plain(what)}.\n\t${facts.map(plain).join(' ')}\n`
  })
  return page.replace(settingsPlaceholder, () => entries.join('\n'))
}

/** Nothing in it is markup. Underscores count at the borders of words only. */
function plain(text: string): string {
  return text.replace(/[\\*_#]/g, found => `\\${found}`)
}
