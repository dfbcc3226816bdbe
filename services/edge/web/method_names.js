/**
 * Names of phases and techniques, as the knowledge file has them (a test holds the two equal), and readable words
 * for its error codes. What is not here is shown by its id.
 */

/** Phase number -> [Dutch, English]. */
export const PHASES = {
  0: ["Pre-contactfase", "Pre-contact"],
  1: ["Openingsfase", "Opening"],
  2: ["Ontdekkingsfase (EPIC)", "Discovery (EPIC)"],
  3: ["Aanbevelingsfase (O.V.B.)", "Recommendation (solution-advantage-benefit)"],
  4: ["Beslissingsfase", "Decision"],
};

/** Technique id -> [Dutch, English]. */
export const TECHNIQUES = {
  "0.1": ["Prospectanalyse", "Prospect analysis"],
  "0.2": ["SWOT-analyse prospect", "Prospect SWOT"],
  "0.3": ["CRM-historiek raadplegen", "Check CRM history"],
  "0.4": ["One Minute Manager", "One-minute mental prep"],
  "0.5": ["Gespreksvoorbereiding", "Meeting preparation"],
  "1.1": ["Koopklimaat creëren", "Create a buying climate"],
  "1.2": ["Gentleman's agreement", "Gentleman's agreement"],
  "1.3": ["Firmavoorstelling (POP) + Reference Story", "Company intro (Person-Organisation-Process) + reference story"],
  "1.4": ["Instapvraag", "Entry question"],
  "2.1": ["Explore", "Explore"],
  "2.1.1": ["Feitgerichte vragen", "Fact questions"],
  "2.1.1.1": ["Bron", "Source"],
  "2.1.1.2": ["Motivatie", "Motivation"],
  "2.1.1.3": ["Ervaring", "Experience"],
  "2.1.1.4": ["Verwachtingen", "Expectations"],
  "2.1.1.5": ["Alternatieven", "Alternatives"],
  "2.1.1.6": ["Budget", "Budget"],
  "2.1.1.7": ["Timing", "Timing"],
  "2.1.1.8": ["Beslissingscriteria", "Decision criteria"],
  "2.1.2": ["Meningsgerichte vragen", "Opinion questions"],
  "2.1.3": ["Feitgerichte vragen onder alternatieve vorm", "Choice-form questions"],
  "2.1.4": ["Ter zijde schuiven", "Park it"],
  "2.1.5": ["Pingpong techniek", "Ping-pong (clarify back)"],
  "2.1.6": ["Actief en empathisch luisteren", "Active, empathic listening"],
  "2.2": ["Probe", "Probe"],
  "2.3": ["Impact / Gevolgvragen", "Impact questions"],
  "2.4": ["Commitment", "Commitment"],
  "3.1": ["Empathie tonen", "Show empathy"],
  "3.2": ["Oplossing presenteren", "Present the solution (O)"],
  "3.3": ["Voordeel benoemen", "State the advantage (A/V)"],
  "3.4": ["Baat vertalen", "Translate to personal benefit (B)"],
  "3.5": ["Mening vragen + koopsignaal uitlokken (alternatief)", "Ask opinion + elicit buying signal by choice"],
  "3.6": ["Technisch voorrekenen", "Do the sums"],
  "3.7": ["Vat baten samen", "Summarise benefits"],
  "4.1": ["Proefafsluiting", "Trial close"],
  "4.2": ["Afritten behandelen", "Handle off-ramps"],
  "4.2.1": ["Klant stelt vragen", "Handle questions"],
  "4.2.2": ["Twijfels behandelen", "Handle doubt"],
  "4.2.3": ["Uitstel behandelen", "Handle postponement"],
  "4.2.4": ["Bezwaren behandelen", "Handle objections"],
  "4.2.5": ["Angst / Bezorgdheden", "Handle fear"],
  "4.2.6": ["Risico-inschatting behandelen", "Handle risk"],
  "4.ABC": ["ABC-techniek", "ABC (always be closing)"],
  "4.INDIEN": ["Indien-techniek", "If-then close"],
  "4.3": ["Finale Closing", "Final close"],
  "4.3.1": ["Samenvatten in klantwoorden", "Summarise in customer words"],
  "4.3.2": ["Verwachtingen-oplossing koppeling", "Link expectations to solution"],
  "4.3.3": ["CVP bevestigen", "Confirm the value proposition"],
  "4.3.4": ["Alternatieve keuze (finale)", "Final alternative choice"],
  "4.3.5": ["Order schrijven", "Write the order"],
};

/** Error code -> [Dutch, English]. */
export const ERRORS = {
  suggestive_question: ["legt de klant woorden in de mond", "puts words in the customer’s mouth"],
  stacked_questions: ["meer vragen in één beurt", "several questions in one turn"],
  closed_question: ["gesloten vraag waar een open vraag paste", "closed question where an open one was due"],
  generic_claims: ["algemene lof zonder feiten", "general praise without facts"],
  announce_only: ["kondigt een stap aan en zet hem niet", "announces a step without taking it"],
  monologue: ["lang aan het woord zonder vraag", "talks long without a question"],
  feature_dump: ["opsomming van kenmerken zonder voordeel", "list of features without a benefit"],
  premature_pitch: ["biedt aan vóór er commitment is", "pitches before there is commitment"],
  no_commitment_before_phase3: ["geen duidelijk ja vóór de aanbeveling", "no clear yes before the recommendation"],
  accepted_vague_yes: ["neemt een vaag ja aan", "takes a vague yes for a yes"],
  ignores_attitude: ["reageert niet op de houding van de klant", "does not react to the customer’s attitude"],
  parked_in_phase4: ["parkeert in de beslissingsfase", "parks something in the decision phase"],
  argues_with_objection: ["gaat in discussie met het bezwaar", "argues with the objection"],
  discount_reflex: ["geeft toe vóór de oorzaak bekend is", "concedes before the cause is known"],
  competitor_bashing: ["spreekt slecht over een concurrent", "runs down a competitor"],
  pressure: ["zet onder druk", "puts pressure on"],
  tells_instead_of_asks: ["vertelt het gevolg in plaats van ernaar te vragen", "tells the consequence instead of asking for it"],
  overclaim: ["belooft te veel", "promises too much"],
  dismisses_concern: ["wuift de zorg weg", "waves the worry away"],
  gives_up: ["aanvaardt uitstel zonder plan", "accepts a delay without a plan"],
  yes_no_close: ["vraagt óf in plaats van hoe of welke", "asks whether instead of how or which"],
  premature_close: ["sluit te vroeg af", "closes too early"],
  no_acknowledgement: ["toont eerst geen begrip", "shows no empathy first"],
  no_redirect: ["parkeert zonder nieuwe vraag", "parks without a new question"],
  no_return_to_close: ["antwoordt en stopt", "answers and stops"],
  skipped_step: ["slaat een verplichte stap over", "leaves out a compulsory step"],
};

const COLUMN = { nl: 0, en: 1 };

/** "2.1.1 Feitgerichte vragen"; the bare id where it is unknown. */
export function techniqueName(id, language) {
  const names = TECHNIQUES[id];
  return names ? `${id} ${names[COLUMN[language]]}` : String(id);
}

/** "2 Ontdekkingsfase (EPIC)". */
export function phaseName(phase, language) {
  const names = PHASES[phase];
  return names ? `${phase} ${names[COLUMN[language]]}` : String(phase);
}

/** Readable words for an error code; the code where it is unknown. */
export function errorName(code, language) {
  return ERRORS[code]?.[COLUMN[language]] ?? String(code).replaceAll("_", " ");
}

/** A theme of the exploration in the language; the knowledge file names themes after their Dutch technique. */
export function themeName(theme, language) {
  const found = Object.values(TECHNIQUES).find((names) => names[0].toLowerCase() === theme.toLowerCase());
  return found ? found[COLUMN[language]] : theme;
}
