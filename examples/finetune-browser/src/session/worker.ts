import { expose } from 'comlink';
import { keepProblemsWhole } from './problem.js';
import { TrainingSession } from './training-session.js';

keepProblemsWhole();
expose(new TrainingSession());
