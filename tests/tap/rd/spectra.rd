<resource schema="spectra" resdir="spectra">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">Loopback spectra</meta>
  <meta name="description">Real SDSS, BOSS and DESI spectra, delivered as the FITS files that the
    surveys publish, through SSAP and datalink. Served only for tests.</meta>
  <meta name="subject">spectroscopy</meta>
  <meta name="creator">SDSS and DESI Collaborations</meta>
  <meta name="contentLevel">Research</meta>
  <meta name="type">Survey</meta>
  <meta name="coverage.waveband">Optical</meta>
  <meta name="ssap.dataSource">survey</meta>
  <meta name="ssap.creationType">archival</meta>
  <meta name="productType">spectrum</meta>
  <meta name="ssap.testQuery">MAXREC=1</meta>

  <table id="raw_spectra" onDisk="True" adql="hidden" namePath="//ssap#instance">
    <LOOP listItems="ssa_dateObs ssa_dstitle ssa_targname ssa_specstart ssa_specend ssa_redshift
        ssa_targclass ssa_collection ssa_snr">
      <events><column original="\item"/></events>
    </LOOP>
    <mixin>//products#table</mixin>
    <mixin>//ssap#plainlocation</mixin>
    <mixin>//ssap#simpleCoverage</mixin>
    <column name="datalink" type="text" ucd="meta.ref.url" tablehead="Datalink"
      description="A link to a datalink document for this spectrum" displayHint="type=url">
      <property name="targetType">application/x-votable+xml;content=datalink</property>
      <property name="targetTitle">Datalink</property>
    </column>
    <column name="object_id" type="bigint" ucd="meta.id" required="True"
      description="specobjid of sdss_dr17.specobj or targetid of desi_dr1.zpix"/>
  </table>

  <data id="import">
    <recreateAfter>make_view</recreateAfter>
    <sources items="index"/>
    <embeddedGrammar>
      <iterator>
        <code>
          import make_spectra
          yield from make_spectra.ssa()
        </code>
      </iterator>
      <rowfilter procDef="//products#define">
        <bind key="table">"\schema.raw_spectra"</bind>
        <bind key="accref">@accref</bind>
        <bind key="path">@accref</bind>
        <bind key="fsize">@size</bind>
        <bind key="mime">"application/fits"</bind>
        <bind key="preview">None</bind>
      </rowfilter>
    </embeddedGrammar>
    <make table="raw_spectra">
      <rowmaker idmaps="*">
        <apply procDef="//ssap#fill-plainlocation">
          <bind key="ra">@ra</bind>
          <bind key="dec">@dec</bind>
          <bind key="aperture">3/3600.</bind>
        </apply>
        <map key="ssa_dateObs">@mjd</map>
        <map key="ssa_dstitle">"{} {}".format(@collection, @object)</map>
        <map key="ssa_targname">@object</map>
        <map key="ssa_targclass">@class</map>
        <map key="ssa_collection">@collection</map>
        <map key="ssa_redshift">@z</map>
        <map key="ssa_snr">@snr</map>
        <map key="ssa_specstart">@start</map>
        <map key="ssa_specend">@end</map>
        <map key="datalink">\dlMetaURI{dl}</map>
      </rowmaker>
    </make>
  </data>

  <table id="ssa" onDisk="True" adql="True">
    <meta name="_associatedDatalinkService">
      <meta name="serviceId">dl</meta>
      <meta name="idColumn">ssa_pubDID</meta>
    </meta>
    <mixin sourcetable="raw_spectra" copiedcolumns="*"
      ssa_aperture="3/3600." ssa_fluxunit="'1e-17 erg/(s.cm**2.Angstrom)'"
      ssa_spectralunit="'Angstrom'" ssa_bandpass="'Optical'" ssa_fluxcalib="'ABSOLUTE'"
      ssa_fluxucd="'phot.flux.density;em.wl'" ssa_speccalib="'ABSOLUTE'"
      ssa_spectralucd="'em.wl'">//ssap#view</mixin>
  </table>
  <data id="make_view" auto="False"><make table="ssa"/></data>

  <service id="dl" allowed="dlmeta,dlget">
    <meta name="title">Links of the loopback spectra</meta>
    <datalinkCore>
      <descriptorGenerator procDef="//soda#fromStandardPubDID">
        <bind key="accrefPrefix">"spectra/"</bind>
      </descriptorGenerator>
    </datalinkCore>
  </service>

  <service id="s" allowed="form,ssap.xml">
    <meta name="title">Loopback spectra</meta>
    <meta name="shortName">loopback SSAP</meta>
    <meta name="ssap.complianceLevel">full</meta>
    <publish render="ssap.xml" sets="local"/>
    <ssapCore queriedTable="ssa">
      <FEED source="//ssap#hcd_condDescs"/>
    </ssapCore>
  </service>
</resource>
