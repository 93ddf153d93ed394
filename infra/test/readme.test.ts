// README.md and README.ja.md agree: the same commands and outputs in the same order, the same
// names, the same links.

import { expect, test } from 'vitest';

import { projectFile } from './pipeline.js';

const languages = ['README.md', 'README.ja.md'].map((path) => projectFile(path));

function both(of: (text: string) => string[]): [string[], string[]] {
  const [english, japanese] = languages.map(of);
  return [english ?? [], japanese ?? []];
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^```[^]*?^```$/gm, '');
}

test('the same commands, with what they print', () => {
  const blocks = (text: string): string[] => text.match(/^```[^]*?^```$/gm) ?? [];
  const [english, japanese] = both((text) =>
    blocks(text).map((block) => block.replaceAll(/ +# .*$/gm, '')),
  );
  expect(english.length).toBeGreaterThanOrEqual(10);
  expect(japanese).toEqual(english);
});

test('the same commands, names and settings in the text, section by section', () => {
  const sections = (text: string): string[] =>
    withoutBlocks(text)
      .split(/^#+ .*$/m)
      .map((section) => [...new Set(section.match(/`[^`\n]+`/g))].sort().join(' '));
  const [english, japanese] = both(sections);
  expect(japanese).toEqual(english);
});

test('the same links, except to each other and to Japanese pages', () => {
  const [english, japanese] = both((text) =>
    [...text.matchAll(/\]\(([^)]+)\)/g)]
      .map(([, link]) => (link ?? '').replace('.ja.md', '.md'))
      .filter((link) => !link.startsWith('README')),
  );
  expect(japanese).toEqual(english);
});
