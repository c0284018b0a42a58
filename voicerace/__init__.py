"""voicerace: when does a Realtime API refuse a response around a function call?"""
