"""Facts as data, with their evidence: releases, slot, handlers, scenarios, time profiles, workarounds."""
