// Writes the rows that the base model is trained on, pictures and all: node make-rows.mjs ROWS_FILE
import { writeFileSync } from 'node:fs';
import { drawScene } from '../data/scenes.mjs';
import { baseRows } from './tasks.mjs';

const lines = baseRows().map(({ scene, tasks }) => JSON.stringify({ png: drawScene(scene).toString('base64'), tasks }));
writeFileSync(process.argv[2], `${lines.join('\n')}\n`);
